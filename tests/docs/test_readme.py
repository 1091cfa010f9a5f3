"""The table of what is supported says what the code says."""

import re
from pathlib import Path

from antiphon.models.gguf_support import ARCHITECTURES, MATRIX_TYPES
from antiphon.settings import DEFAULT_ALIASES

ROOT = Path(__file__).parents[2]


def row(name: str) -> str:
    """The cell beside a name in the table."""
    match = re.search(
        rf"^\| {name} \| (.*) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert match is not None
    return match[1]


def test_architectures_and_quantisations_are_those_of_the_code() -> None:
    """No more and no fewer."""
    text = row("Models")

    assert set(re.findall(r"\b(?:B?F(?:16|32)|I?Q\d\w*)\b", text)) == set(MATRIX_TYPES)
    assert all(architecture in text for architecture in ARCHITECTURES)


def test_default_aliases_are_named() -> None:
    """As `settings` has them."""
    assert set(re.findall(r"`([^`]+)`", row("Default model"))) == set(DEFAULT_ALIASES)


def test_test_command_is_the_one_that_ci_runs() -> None:
    """`make test`, and nothing else that could pass instead."""
    assert "`make test`" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "make test"
