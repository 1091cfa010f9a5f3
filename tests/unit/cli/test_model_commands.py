"""What `antiphon pull` says of a model that is there."""

import pytest

from antiphon.cli.model_commands import pulled_line


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gemma3-270m", "gemma3-270m: ready, served as x (licence: Gemma Terms of Use)"),
        ("my.gguf", "my.gguf: ready, served as x"),
    ],
)
def test_licence_is_told_where_it_is_known(name: str, line: str) -> None:
    """A file of one's own has none that we know."""
    assert pulled_line(name, "x") == line
