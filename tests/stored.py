"""Stored completions for tests: short to write, different where the test says so."""

from collections.abc import Mapping
from dataclasses import replace

from antiphon.core.errors import StoreUnavailable
from antiphon.core.events import AnswerEvent, ChoiceEnded, Completed, TextDelta, Usage
from antiphon.core.stored import Keeping, StoredCompletion
from antiphon.store.memory import MemoryStore

MINE = "mine"
OTHERS = "another's"

ANSWER: tuple[AnswerEvent, ...] = (
    TextDelta(0, "Hello"),
    ChoiceEnded(0, "stop"),
    Completed(Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)),
)

MESSAGES = ({"role": "user", "content": "Hi"},)

FACTS: Mapping[str, object] = {
    "tools": None,
    "temperature": 0.5,
    "input_user": None,
    "shape": {"logprobs": False, "functions": False},
}


def keeping(project: str = MINE, metadata: Mapping[str, str] | None = None) -> Keeping:
    """What a short request wants kept."""
    return Keeping(project, "req_1", list(MESSAGES), FACTS, metadata or {})


def completion(id: str, project: str = MINE, **changes: object) -> StoredCompletion:
    """A stored completion with some fields changed; `metadata` is one of them."""
    metadata = changes.pop("metadata", None)
    assert metadata is None or isinstance(metadata, Mapping)
    kept = keeping(project, metadata)
    plain = StoredCompletion(id, 1_700_000_000, "m", "test", 1, 7, kept, ANSWER)
    return replace(plain, **changes)  # type: ignore[arg-type]


class FailingStore(MemoryStore):
    """A store whose next calls fail as told."""

    def __init__(self, *, check: bool = False, add: bool = False) -> None:
        super().__init__()
        self._fails = {"check": check, "add": add}

    async def check(self) -> None:
        """Fail if told so."""
        if self._fails["check"]:
            raise StoreUnavailable()

    async def add(self, completion: StoredCompletion) -> None:
        """Fail if told so."""
        if self._fails["add"]:
            raise StoreUnavailable()
        await super().add(completion)
