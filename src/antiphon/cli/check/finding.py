"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact, and what to do where it is no good one."""

    subject: str
    verdict: Literal["good", "warning", "bad"]
    """bad: Antiphon will not work; warning: slower, or soon."""
    fact: str
    remedy: str = ""


def good(subject: str, fact: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, "good", fact)


def warning(subject: str, fact: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(subject, "warning", fact, remedy)


def bad(subject: str, fact: str, remedy: str) -> Finding:
    """It will not work."""
    return Finding(subject, "bad", fact, remedy)
