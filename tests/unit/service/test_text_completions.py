"""Continuing texts: prompts side by side, what they share, and how they end."""

from collections.abc import Callable
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import ContextLengthExceeded, EngineFailed, Overloaded
from antiphon.core.events import AssistantEvent, ChoiceEnded, Completed, Failed, TextDelta, Usage
from antiphon.core.generation import GenerationRequest
from antiphon.core.messages import TextRequest
from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer, Script, say
from antiphon.service.admission import Admission, AdmissionOptions
from antiphon.service.answer import Answer
from antiphon.service.generations import ModelParts
from antiphon.service.text_completions import TextCompletions
from tests.unit.service.serving import text_of


class TextServer:
    """A fake engine behind the use case "continue these texts"."""

    def __init__(
        self,
        script: Callable[[GenerationRequest, int], Script],
        admission: Admission | None = None,
        template: FakeChatTemplate | None = None,
    ) -> None:
        self.engine = FakeEngine(script, context_length=64)
        self.admission = admission or Admission()
        parts = ModelParts(self.engine, FakeTokenizer(), template or FakeChatTemplate())
        self.texts = TextCompletions(parts, self.admission)

    async def open(self, *prompts: str | tuple[int, ...], **options: object) -> Answer:
        """Open an answer on the started engine."""
        await self.engine.start()
        return await self.texts.open(TextRequest("fake", prompts, **options))  # type: ignore[arg-type]

    async def answer(self, *prompts: str | tuple[int, ...], **options: object) -> list[AssistantEvent]:
        """All events of one answer."""
        async with aclosing((await self.open(*prompts, **options)).events()) as events:
            return [event async for event in events]

    @property
    def idle(self) -> bool:
        """True when everything that was reserved has been given back."""
        return self.engine.stats().running == self.admission.choices == self.admission.prompt_tokens == 0


def echoing(request: GenerationRequest, choice: int) -> Script:
    """Says its prompt in brackets, and which choice it is."""
    return say(f"[{bytes(request.prompt).decode()}{choice}]")


async def test_one_prompt_is_continued_as_it_is() -> None:
    """No template around it."""
    server = TextServer(echoing)

    assert await server.answer("Once") == [
        TextDelta(0, "[Once0]"),
        ChoiceEnded(0, "stop"),
        Completed(Usage(prompt_tokens=4, completion_tokens=7)),
    ]
    assert server.idle


async def test_what_a_model_thinks_is_text_here() -> None:
    """No template says where a block begins, so none is taken out or counted apart."""
    said = "<think>Hm. Stop?</think>So."
    server = TextServer(lambda *_: say(said), template=FakeChatTemplate(("<think>", "</think>")))
    events = await server.answer("Once")
    stopped = await server.answer("Once", stop=("Stop",))

    assert text_of(events, 0) == said
    assert events[-1] == Completed(Usage(prompt_tokens=4, completion_tokens=len(said)))
    assert text_of(stopped, 0) == "<think>Hm. "


async def test_choices_are_numbered_through_all_prompts() -> None:
    """And usage is summed."""
    server = TextServer(echoing)
    events = await server.answer("a", (98, 99), choices=2)

    assert [text_of(events, choice) for choice in range(4)] == ["[a0]", "[a1]", "[bc0]", "[bc1]"]
    assert events[-1] == Completed(Usage(prompt_tokens=3, completion_tokens=18))
    assert sorted(e.choice for e in events if isinstance(e, ChoiceEnded)) == [0, 1, 2, 3]
    assert server.idle


async def test_echo_begins_every_choice_with_its_prompt() -> None:
    """Ids are echoed as the text that they spell, control tokens by their names."""
    events = await TextServer(lambda *_: say("!")).answer("a", (98, 257), choices=2, echo=True)

    assert [text_of(events, choice) for choice in range(4)] == ["a!", "a!", "b<|im_end|>!", "b<|im_end|>!"]


async def test_an_empty_prompt_is_the_border_between_two_texts() -> None:
    """The model needs something to go on from."""
    asked: list[GenerationRequest] = []

    def noting(request: GenerationRequest, choice: int) -> Script:
        asked.append(request)
        return say("x")

    server = TextServer(noting)
    await server.answer("")

    assert [request.prompt for request in asked] == [server.engine.info.eos_token_ids[:1]]


async def test_one_failure_fails_all() -> None:
    """The others are stopped; one event tells of it."""

    def failing(request: GenerationRequest, choice: int) -> Script:
        return say("x", fail_after=0) if request.prompt == (98,) else say(*["y"] * 50, delay_s=0.01)

    server = TextServer(failing)
    events = await server.answer("a", "b")

    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, EngineFailed)
    assert server.idle


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_early_cancels_all_prompts(begun: bool) -> None:
    """Before the first event, and behind it."""
    server = TextServer(lambda *_: say(*["x"] * 40, delay_s=0.005))
    events = (await server.open("a", "b", choices=2)).events()
    if begun:
        await anext(events)
    await events.aclose()

    assert server.idle


async def test_a_prompt_too_long_refuses_all() -> None:
    """Nothing stays reserved."""
    server = TextServer(echoing)
    with pytest.raises(ContextLengthExceeded):
        await server.open("a", "b" * 64)

    assert server.idle


async def test_a_full_queue_in_the_middle_gives_everything_back() -> None:
    """The prompt that was queued already is cancelled."""

    def refusing(request: GenerationRequest, choice: int) -> Script:
        return Script(refusal=Overloaded()) if request.prompt == (98,) else say("x", delay_s=0.01)

    server = TextServer(refusing)
    with pytest.raises(Overloaded):
        await server.open("a", "b")

    assert server.idle


async def test_a_request_beyond_a_limit_is_taken_when_idle() -> None:
    """Several prompts are one request to admission."""
    server = TextServer(echoing, Admission(AdmissionOptions(max_choices=2, max_prompt_tokens=2)))
    events = await server.answer("aa", "bb", "cc")

    assert [text_of(events, choice) for choice in range(3)] == ["[aa0]", "[bb0]", "[cc0]"]
    assert server.idle


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 4))
def test_split_leases_give_back_what_was_reserved(prompts: list[int], each: int) -> None:
    """Whole or in parts."""
    admission = Admission()
    lease = admission.admit(each * len(prompts))
    lease.add_prompt(sum(prompts))
    parts = lease.split(prompts)
    lease.release()

    assert (admission.choices, admission.prompt_tokens) == (each * len(prompts), sum(prompts))
    for part in parts:
        part.release()
        part.release()
    assert (admission.choices, admission.prompt_tokens) == (0, 0)
