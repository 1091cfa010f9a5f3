"""What the tests of this package share: a tokenizer with chosen tokens, and a served fake engine."""

from collections.abc import Callable, Sequence
from contextlib import aclosing

from antiphon.core.events import AssistantEvent, Completed, Failed, ScoredToken, TextDelta
from antiphon.core.generation import EngineFeature, GenerationRequest
from antiphon.core.messages import ChatRequest, Message
from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer, Script, improvise
from antiphon.service.admission import Admission
from antiphon.service.completion import Completion
from antiphon.service.completions import Completions, CompletionsOptions
from antiphon.service.generations import ModelParts
from antiphon.telemetry.metrics import Metrics

HELLO = ChatRequest("fake", (Message("user", "Hello"),))
DEFAULTS = CompletionsOptions()


class ListTokenizer:
    """Token i stands for the i-th entry of a list of bytes."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._tokens = tokens
        self.special_tokens = {"<end>": tokens.index(b"")} if b"" in tokens else {}
        self.start_tokens = ()
        self.swallowing_tokens: frozenset[str] = frozenset()

    def encode_plain(self, text: str) -> list[int]:
        """One token, where there is one for the whole text."""
        return [self._tokens.index(text.encode())]

    def token_bytes(self, token_id: int) -> bytes:
        """The entry."""
        return self._tokens[token_id]


class Server:
    """A fake engine behind the use case "complete a conversation"."""

    def __init__(
        self,
        script: Callable[[GenerationRequest, int], Script] = improvise,
        context_length: int = 8192,
        options: CompletionsOptions = DEFAULTS,
        template: FakeChatTemplate | None = None,
        lacks: tuple[EngineFeature, ...] = (),
    ) -> None:
        self.asked: list[GenerationRequest] = []
        self.engine = FakeEngine(
            lambda *ask: script(self._note(ask[0]), ask[1]), context_length=context_length, lacks=lacks
        )
        self.admission = Admission()
        parts = ModelParts(self.engine, FakeTokenizer(), template or FakeChatTemplate())
        self.metrics = Metrics()
        self.completions = Completions(parts, self.admission, options, self.metrics.of_model("fake"))

    def _note(self, request: GenerationRequest) -> GenerationRequest:
        self.asked.append(request)
        return request

    async def open(self, request: ChatRequest, project: str = "") -> Completion:
        """Open one completion on the started engine."""
        await self.engine.start()
        return await self.completions.open(request, project)

    async def answer(self, request: ChatRequest) -> list[AssistantEvent]:
        """All events of one completion."""
        async with aclosing((await self.open(request)).events()) as events:
            return [event async for event in events]

    @property
    def idle(self) -> bool:
        """True when everything that was reserved has been given back."""
        engine = self.engine.stats()
        return engine.running == self.admission.choices == self.admission.prompt_tokens == 0


def text_of(events: Sequence[AssistantEvent], choice: int = 0) -> str:
    """The text of one choice."""
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.choice == choice)


def scores_of(events: Sequence[AssistantEvent], choice: int = 0) -> list[ScoredToken]:
    """The scored tokens of one choice."""
    deltas = (e for e in events if isinstance(e, TextDelta) and e.choice == choice)
    return [score for delta in deltas for score in delta.tokens]


def ending_of(events: Sequence[AssistantEvent]) -> Completed | Failed:
    """The last event, which must be the only one of its kind."""
    endings = [event for event in events if isinstance(event, Completed | Failed)]
    assert endings == [events[-1]]
    return endings[0]
