"""A few seconds of the soak: it runs, and finds nothing wrong. Hours are for a machine of one's own."""

import argparse

from rich.console import Console

from bench.soak.command import add_arguments, soak


def test_soak_finds_nothing_wrong() -> None:
    """Every kind of request was answered."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(["--fake", "--minutes", "0.1", "--rate", "40", "--seed", "3"])

    found = soak(options, Console(quiet=True))

    assert all(found.verdicts.values()), (found.verdicts, found.reasons)
    assert set(found.outcomes) >= {"streams", "schema", "tool", "stores", "leaves", "bad", "control"}
    assert all(counts["ok"] for counts in found.outcomes.values())
