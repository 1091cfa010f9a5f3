"""Where prompts are sent: after their cache, by what it saves and how busy its holders are."""

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
    """The longest beginning wins; of those that hold as much, any."""
    affinity = PrefixAffinity()
    affinity.record(names("1", "12"), "b")
    affinity.record(names("1", "13"), "c")

    assert affinity.rank(names("1", "12", "123"), IDLE)[0] == "b"
    assert affinity.rank(names("1", "13"), IDLE)[0] == "c"
    assert affinity.rank(names("1", "14"), IDLE)[2] == "a"


def test_unknown_prompt_goes_to_the_least_busy() -> None:
    """Its other choices are in order of work too."""
    assert PrefixAffinity().rank(names("x"), {"a": 2, "b": 0, "c": 1}) == ["b", "c", "a"]


def test_unknown_prompts_spread_over_idle_replicas_alike_in_every_process() -> None:
    """Two servers that have heard of nothing yet choose alike, and not always the same replica."""
    prompts = [names(str(number)) for number in range(64)]
    first = [PrefixAffinity().rank(prompt, IDLE)[0] for prompt in prompts]

    assert first == [PrefixAffinity().rank(prompt, dict(reversed(IDLE.items())))[0] for prompt in prompts]
    assert set(first) == set(IDLE)


@pytest.mark.parametrize(
    ("pages", "load", "kept"),
    [(4, 1, False), (6, 1, True), (14, 3, False), (16, 3, False), (15, 2, True), (200, 4, False)],
)
def test_cache_is_worth_a_fifth_of_a_request_a_page(pages: int, load: int, kept: bool) -> None:
    """And less than three of them at the most, however long the prompt is, where there is little to do."""
    affinity = PrefixAffinity(page_worth=0.2, most_worth=2.9)
    prompt = [str(page).encode() for page in range(pages)]
    affinity.record(prompt, "b")

    idle = dict.fromkeys("acdefgh", 0)
    assert (affinity.rank(prompt, {**idle, "b": load})[0] == "b") is kept


def test_lead_grows_with_the_load() -> None:
    """Three requests more are little where each has twenty."""
    affinity = PrefixAffinity()
    affinity.record(names("1", "2", "3"), "b")

    assert affinity.rank(names("1", "2", "3"), {"a": 0, "b": 3})[0] == "a"
    assert affinity.rank(names("1", "2", "3"), {"a": 20, "b": 23})[0] == "b"


def test_popular_beginning_is_known_of_several_replicas() -> None:
    """The least busy of those that hold it, and one that holds more of the prompt before those."""
    affinity = PrefixAffinity()
    system = [str(page).encode() for page in range(20)]
    affinity.record(system, "b")
    affinity.record([*system, *names("x", "y", "z", "u", "v", "w")], "c")

    assert affinity.rank(system, {"a": 0, "b": 2, "c": 1})[0] == "c"
    assert affinity.rank(system, {"a": 0, "b": 1, "c": 2})[0] == "b"
    assert affinity.rank([*system, *names("x", "y", "z", "u", "v", "w")], {"a": 0, "b": 1, "c": 2})[0] == "c"


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
    affinity = PrefixAffinity(most_worth=2.0)
    for earlier, replica in history:
        affinity.record(earlier, replica)
    ranking = affinity.rank(prompt, loads)

    assert sorted(ranking) == sorted(loads)
    mean = sum(loads.values()) / len(loads)
    assert loads[ranking[0]] <= min(loads.values()) + 2 * max(1, mean) + 1e-9
