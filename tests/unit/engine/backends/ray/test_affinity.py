"""Where prompts are sent: after their cache, unless that is far busier."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.backends.ray.affinity import PrefixAffinity

IDLE = {"a": 0, "b": 0, "c": 0}


def names(*parts: str) -> list[bytes]:
    """Page names of a prompt."""
    return [part.encode() for part in parts]


def test_prompt_goes_where_its_beginning_is() -> None:
    """The longest beginning wins."""
    affinity = PrefixAffinity()
    affinity.record(names("1", "12"), "b")
    affinity.record(names("1", "13"), "c")

    assert affinity.rank(names("1", "12", "123"), IDLE)[0] == "b"
    assert affinity.rank(names("1", "13"), IDLE)[0] == "c"
    assert affinity.rank(names("1", "14"), IDLE)[0] == "c"


def test_unknown_prompt_goes_to_the_least_busy() -> None:
    """Its other choices are in order of work too."""
    assert PrefixAffinity().rank(names("x"), {"a": 2, "b": 0, "c": 1}) == ["b", "c", "a"]


def test_unknown_prompts_spread_over_idle_replicas_alike_in_every_process() -> None:
    """Two servers that have heard of nothing yet choose alike, and not always the same replica."""
    prompts = [names(str(number)) for number in range(64)]
    first = [PrefixAffinity().rank(prompt, IDLE)[0] for prompt in prompts]

    assert first == [PrefixAffinity().rank(prompt, dict(reversed(IDLE.items())))[0] for prompt in prompts]
    assert set(first) == set(IDLE)


@pytest.mark.parametrize(("load", "chosen"), [(4, "b"), (5, "a")])
def test_busy_holder_is_passed_over(load: int, chosen: str) -> None:
    """From `slack` requests more than the least busy on."""
    affinity = PrefixAffinity(slack=4)
    affinity.record(names("1"), "b")

    assert affinity.rank(names("1"), {"a": 0, "b": load})[0] == chosen


def test_replica_that_is_gone_is_not_missed() -> None:
    """A shorter beginning that another holds counts then."""
    affinity = PrefixAffinity()
    affinity.record(names("1"), "a")
    affinity.record(names("12"), "gone")

    assert affinity.rank(names("1", "12"), {"a": 0, "b": 0})[0] == "a"
    assert affinity.rank(names("1", "12"), {}) == []


def test_memory_is_bounded_and_keeps_beginnings() -> None:
    """What a long prompt has pushed out are its ends."""
    affinity = PrefixAffinity(capacity=4)
    affinity.record([str(page).encode() for page in range(9)], "b")
    affinity.record(names("x"), "c")

    assert affinity.rank(names("0"), IDLE)[0] == "b"
    assert affinity.rank(names("2"), IDLE)[0] == "b"
    assert affinity.rank([b"8"], IDLE) == PrefixAffinity().rank([b"8"], IDLE)


@given(
    st.lists(st.tuples(st.lists(st.binary(max_size=2), max_size=4), st.sampled_from("abcd"))),
    st.lists(st.binary(max_size=2), max_size=4),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 20), min_size=1),
)
def test_ranking_names_each_replica_once_and_bounds_the_lead(
    history: Sequence[tuple[list[bytes], str]], prompt: list[bytes], loads: dict[str, int]
) -> None:
    """Whatever was sent before."""
    affinity = PrefixAffinity(slack=4)
    for earlier, replica in history:
        affinity.record(earlier, replica)
    ranking = affinity.rank(prompt, loads)

    assert sorted(ranking) == sorted(loads)
    assert loads[ranking[0]] <= min(loads.values()) + 4
