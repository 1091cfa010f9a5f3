"""Replicas in simulated time."""

from itertools import islice

import pytest

from bench.planning.replica import Engine
from bench.planning.routing import OURS, POLICIES
from bench.planning.simulate import Outcome, Setup, simulate
from bench.planning.steps import StepTimes
from bench.planning.sweep import Planner, in_time
from bench.planning.traffic import SHAPES, sessions

ENGINE = Engine(StepTimes(0.008, 0.001, 0.0004), 1400, 32)


def outcome(policy: str, seconds: float, rate: float = 2.0) -> Outcome:
    """Chats on four replicas."""
    return simulate(Setup(ENGINE, 4, policy, seconds, seconds / 5), sessions(SHAPES["chat"], rate, 1))


def test_every_request_ends_with_as_many_tokens_as_were_asked_for() -> None:
    """Of sessions of one turn, which depend on nothing else."""
    setup = Setup(ENGINE, 2, "round robin", 30, 0)
    come = list(islice(sessions(SHAPES["single"], 5.0, 1), 300))
    expected = [session for session in come if session.comes_s < 30]
    found = simulate(setup, come)

    assert (found.requests, found.refused) == (len(expected), 0)
    # What is said after the last session came is not counted.
    assert 0.8 < found.tokens_per_s * 30 / sum(s.turns[0].answer for s in expected) <= 1


def test_lone_request_takes_what_its_steps_take() -> None:
    """One chunk of the prompt, then a step for each further token."""
    come = list(islice(sessions(SHAPES["single"], 1e-6, 1), 1))
    found = simulate(
        Setup(ENGINE, 1, OURS, come[0].comes_s + 1, 0),
        [*come, *islice(sessions(SHAPES["single"], 1e-9, 2), 1)],
    )
    prompt = len(come[0].system) + 5 + len(come[0].turns[0].message)

    assert found.first_token_p50_s == pytest.approx(0.008 + 0.0004 * prompt)
    assert found.token_p50_s == pytest.approx(0.009)


@pytest.mark.parametrize("policy", POLICIES)
def test_outcome_is_the_same_each_time(policy: str) -> None:
    """Whatever the policy draws by chance."""
    assert outcome(policy, 8) == outcome(policy, 8)


def test_prefix_routing_finds_more_and_answers_sooner_than_random() -> None:
    """The rule of the real router, on the same sessions."""
    ours, chance = outcome(OURS, 40), outcome("random", 40)

    assert ours.hit_rate > chance.hit_rate + 0.1
    assert (ours.first_token_p95_s or 0) < (chance.first_token_p95_s or 0)


def test_bound_keeps_one_popular_prefix_from_filling_one_replica() -> None:
    """Where a hash alone would."""
    assert outcome(OURS, 20, 6.0).busiest < outcome("prefix hash", 20, 6.0).busiest


def test_least_number_of_replicas_bears_the_load_and_half_of_it_does_not() -> None:
    """Both by a run of their own."""
    planner = Planner(ENGINE, first_token_s=0.5)
    row = planner.least_replicas("single", OURS, 20.0)

    assert row.replicas > 1
    assert in_time(row.outcome, 0.5)
    assert not in_time(planner.run("single", OURS, row.replicas // 2, 20.0).outcome, 0.5)
