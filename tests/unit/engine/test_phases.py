"""The phases of traced requests, over loops that end them in every way."""

from dataclasses import replace
from itertools import count, pairwise

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.generation import EnginePhase
from antiphon.engine.phases import PhaseRecorder
from antiphon.engine.scheduler import SchedulerOptions
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Rig, request

ORDER = ("compile", "queue", "prefill", "decode")


def recorder() -> PhaseRecorder:
    """One whose clock ticks at each look."""
    ticks = count(1)
    return PhaseRecorder(lambda: next(ticks))


def test_request_without_a_trace_is_not_recorded() -> None:
    """Whatever it goes through."""
    phases = recorder()
    driver = Rig(ChainedBackend(), phases=phases)
    driver.submit(request("a", [5, 6, 7]))
    driver.run()

    assert phases.take() == []


def test_phases_are_reported_once_with_their_counts() -> None:
    """A second prompt that begins alike finds what the first one computed."""
    phases = recorder()
    driver = Rig(ChainedBackend(), phases=phases)
    for key in ("a", "b"):
        wanted = request(key, list(range(1, 10)), max_tokens=3)
        driver.submit(replace(wanted, ignore_eos=True, traceparent=f"parent-{key}"))
        driver.run()
    told = [(p.traceparent, p.name, p.end, p.tokens, p.cached_tokens) for p in phases.take()]

    assert told == [
        ("parent-a", "queue", "went_on", 0, 0),
        ("parent-a", "prefill", "went_on", 9, 0),
        ("parent-a", "decode", "finished", 3, 0),
        ("parent-b", "queue", "went_on", 0, 0),
        ("parent-b", "prefill", "went_on", 9, driver.cached["b"]),
        ("parent-b", "decode", "finished", 3, 0),
    ]
    assert driver.cached["b"] > 0
    assert phases.take() == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["submit", "step", "cancel", "stop"]), st.integers(0, 5), st.integers(0, 2)
        ),
        max_size=60,
    )
)
def test_every_way_of_ending_closes_the_last_phase(actions: list[tuple[str, int, int]]) -> None:
    """Each request's phases follow one another in order without a gap, and the last one says how it ended."""
    phases = recorder()
    driver = Rig(ChainedBackend(16), SchedulerOptions(max_running=3), phases=phases)
    submitted: set[str] = set()
    for action, number, choice in actions:
        key = str(number)
        if action == "submit" and key not in submitted:
            submitted.add(key)
            wanted = request(key, list(range(1, 4 + 3 * number)), max_tokens=1 + 2 * number)
            driver.submit(replace(wanted, choices=1 + number % 3, ignore_eos=True, traceparent=key))
        elif action == "step":
            driver.step()
        elif action == "cancel":
            driver.loop.cancel(key)
        elif action == "stop":
            driver.loop.stop(key, choice)
    driver.run()
    told = phases.take()

    for key in submitted:
        _check([phase for phase in told if phase.traceparent == key])


def _check(phases: list[EnginePhase]) -> None:
    places = [ORDER.index(phase.name) for phase in phases]
    assert places == list(range(1, 1 + len(phases)))
    assert all(one.ended_ns == other.began_ns for one, other in pairwise(phases))
    assert [phase.end == "went_on" for phase in phases] == [True] * (len(phases) - 1) + [False]
