"""Which workloads run at which concurrency."""

from bench.plan import DEFAULT_CONCURRENCY, QUICK_CONCURRENCY, Cell, make_plan
from bench.workloads import KINDS


def test_plan_groups_cells_by_their_load() -> None:
    """One client of eight choices and eight clients of one need the same of a server."""
    plan = make_plan(["chat", "n8"], [], {"chat": (1, 8), "n8": (1,)})
    assert [(g.sequences, g.cells) for g in plan] == [
        (1, (Cell("chat", 1),)),
        (8, (Cell("chat", 8), Cell("n8", 1))),
    ]


def test_plan_takes_given_numbers_for_every_workload() -> None:
    """What the operator says replaces the defaults."""
    plan = make_plan(["chat", "mixed"], [2], DEFAULT_CONCURRENCY)
    assert [cell for group in plan for cell in group.cells] == [Cell("chat", 2), Cell("mixed", 2)]


def test_group_has_room_for_its_longest_workload() -> None:
    """A group's room is its most demanding cell's."""
    (group,) = make_plan(["chat", "mixed"], [2], DEFAULT_CONCURRENCY)
    assert group.sequence_tokens == KINDS["mixed"].sequence_tokens


def test_every_workload_has_defaults() -> None:
    """No workload is forgotten, in long or in quick runs."""
    assert set(DEFAULT_CONCURRENCY) == set(QUICK_CONCURRENCY) == set(KINDS)
