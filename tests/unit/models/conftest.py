"""What the tests of this package share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny_models import write_tiny_model


class RecordedProgress:
    """Remembers what was shown: one (label, total, advanced, finished) per step."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None, int, bool]] = []

    def start(self, label: str, total_bytes: int | None) -> None:
        """A step begins."""
        self.steps.append((label, total_bytes, 0, False))

    def advance(self, count: int) -> None:
        """It goes on."""
        label, total, advanced, finished = self.steps[-1]
        self.steps[-1] = (label, total, advanced + count, finished)

    def done(self) -> None:
        """It is over."""
        label, total, advanced, _ = self.steps[-1]
        self.steps[-1] = (label, total, advanced, True)


@pytest.fixture
def progress() -> RecordedProgress:
    """Progress to look at afterwards."""
    return RecordedProgress()


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small llama with a byte-level vocabulary. Read it, do not change it."""
    return write_tiny_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def cache_dir(tmp_path: Path) -> Iterator[Path]:
    """An empty cache; afterwards nothing of the work may be left in it."""
    folder = tmp_path / "cache"
    yield folder
    assert not list(folder.glob("tmp/*"))
