"""Checks of the machine, shown machines that are not this one."""

import platform
from pathlib import Path

import pytest

from antiphon.cli.check.machine import check_clock, check_disk, check_memory, check_processor
from antiphon.settings import Settings


@pytest.mark.parametrize(
    ("flags", "verdict", "words"),
    [
        ("fpu sse4_2", "warning", "without avx2"),
        ("fpu avx2 amx_int8", "good", "amx_int8"),
        ("", "good", "cores"),
    ],
)
def test_processor(
    flags: str, verdict: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody tells its features, none is missed."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags : {flags}\nflags : other\n" if flags else "")
    (finding,) = check_processor(info)

    assert finding.verdict == verdict
    assert words in finding.fact


def test_processor_without_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told what would work."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    (finding,) = check_processor()

    assert (finding.verdict, finding.remedy) == ("bad", "Use a machine with x86-64 or arm64.")


@pytest.mark.parametrize(("available", "verdict"), [(16 << 30, "good"), (1 << 30, "warning")])
def test_memory(available: int, verdict: str) -> None:
    """Against what is set."""
    (finding,) = check_memory(Settings(), lambda: available)

    assert finding.verdict == verdict


def test_memory_of_a_system_that_does_not_tell() -> None:
    """Nothing is made up."""
    assert list(check_memory(Settings(), lambda: None)) == []


def test_disk_and_clock_of_this_machine() -> None:
    """They are in order where the tests run."""
    assert [finding.verdict for finding in (*check_disk(), *check_clock())] == ["good", "good"]


def test_clock_that_was_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a board without a battery."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    (finding,) = check_clock()

    assert finding.verdict == "warning"
