"""A stand-in for the service layer: completions that yield the events they are told to."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from antiphon.api.app import Services
from antiphon.core.errors import AntiphonError
from antiphon.core.events import AssistantEvent, ChoiceEnded, Completed, TextDelta, Usage
from antiphon.core.generation import ModelInfo
from antiphon.core.messages import ChatRequest
from antiphon.service.completion import Completion
from antiphon.service.completions import Completions
from antiphon.service.health import Health, ModelHealth
from antiphon.service.models import ModelEntry, ModelRegistry, PerModel
from antiphon.service.stored import StoredCompletions

Step = AssistantEvent | asyncio.Event | Exception
"""An event to yield, a gate to wait at, or something to raise."""

VOCAB_SIZE = 100
CREATED = 1700000000

HELLO: tuple[Step, ...] = (
    TextDelta(0, "Hel"),
    TextDelta(0, "lo"),
    ChoiceEnded(0, "stop"),
    Completed(Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)),
)


class ScriptedCompletion(Completion):
    """A completion with known facts and events."""

    def __init__(self, request: ChatRequest, steps: Sequence[Step]) -> None:
        self.id = "0123456789abcdef"
        self.created = CREATED
        self.model = request.model
        self.fingerprint = "test"
        self.choices = request.choices
        self.steps = steps
        self.closed = asyncio.Event()

    async def run(self) -> AsyncGenerator[AssistantEvent, None]:
        """The steps, one after the other."""
        try:
            for step in self.steps:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed.set()

    async def aclose(self) -> None:
        """Note that nobody wants more."""
        self.closed.set()


class ScriptedCompletions(Completions):
    """Opens every request with the same steps, or refuses every one."""

    def __init__(self, steps: Sequence[Step] = HELLO, refusal: AntiphonError | None = None) -> None:
        self.steps = steps
        self.refusal = refusal
        self.requests: list[ChatRequest] = []
        self.opened: list[ScriptedCompletion] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.open_cancelled = asyncio.Event()
        self.model_is_there = True

    @property
    def at_hand(self) -> bool:
        """What was told."""
        return self.model_is_there

    async def open(self, request: ChatRequest, project: str = "") -> Completion:
        """Wait at the gate, then follow the script."""
        self.requests.append(request)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.open_cancelled.set()
            raise
        if self.refusal is not None:
            raise self.refusal
        completion = ScriptedCompletion(request, self.steps)
        self.opened.append(completion)
        return completion


class ScriptedHealth(Health):
    """Ready when told so."""

    def __init__(self) -> None:
        self.is_ready = True

    def ready(self) -> bool:
        """What was told."""
        return self.is_ready

    def models(self) -> dict[str, ModelHealth]:
        """One model, which is being loaded."""
        return {"m": "loading"}


def registry() -> ModelRegistry:
    """The models "m" and "org/m:1", an alias of it."""
    info = ModelInfo("m", 4096, VOCAB_SIZE, (0,), "fp_test")
    return ModelRegistry([ModelEntry(lambda: info, ("org/m:1",))], CREATED)


def scripted_services(
    completions: Completions, health: Health | None = None, stored: StoredCompletions | None = None
) -> Services:
    """Services around these completions."""
    models = registry()
    return Services(PerModel(models, {"m": completions}), models, health or ScriptedHealth(), stored)
