"""Completions of a model that thinks, on the fake engine."""

from dataclasses import replace

import pytest

from antiphon.core.events import AssistantEvent, Completed, ReasoningDelta, ToolCallStarted
from antiphon.core.messages import ChatRequest, FunctionTool, JsonObjectFormat, Message, ToolChoice
from antiphon.engine.backends.fake import FakeChatTemplate, say
from tests.unit.service.serving import HELLO, Server, ending_of, scores_of, text_of

THINKING = FakeChatTemplate(("<think>", "</think>"))
OPENED = FakeChatTemplate(("<think>", "</think>"), opens_block=True)
CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'


def thought_of(events: list[AssistantEvent]) -> str:
    """What the first choice thought."""
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


async def answered(
    template: FakeChatTemplate, said: str, request: ChatRequest = HELLO
) -> list[AssistantEvent]:
    """The events of a model that says this, in pieces."""
    pieces = [said[start : start + 3] for start in range(0, len(said), 3)]
    return await Server(lambda *_: say(*pieces), template=template).answer(request)


@pytest.mark.parametrize(
    ("template", "said"), [(THINKING, "<think>\nHm </ \n</think>\n\nHi!"), (OPENED, "Hm </</think>Hi!")]
)
async def test_reasoning_is_told_and_counted_apart(template: FakeChatTemplate, said: str) -> None:
    """Every token of the block is a token of the completion."""
    events = await answered(template, said)
    ending = ending_of(events)

    assert (thought_of(events), text_of(events)) == ("Hm </", "Hi!")
    assert isinstance(ending, Completed)
    assert ending.usage.completion_tokens == len(said)
    assert ending.usage.reasoning_tokens == said.index("</think>") + len("</think>")


async def test_model_that_does_not_think_says_everything() -> None:
    """Also what looks like a block."""
    events = await answered(FakeChatTemplate(), "<think>a</think>b")

    assert (thought_of(events), text_of(events)) == ("", "<think>a</think>b")


async def test_stop_strings_and_scores_are_of_what_is_said() -> None:
    """Nothing inside the block ends the answer."""
    request = replace(HELLO, stop=("x",), top_logprobs=0)
    events = await answered(THINKING, "<think>axb</think>c x d", request)

    assert (thought_of(events), text_of(events)) == ("axb", "c ")
    assert b"".join(score.raw for score in scores_of(events)) == b"c "


async def test_block_that_is_cut_off_leaves_no_answer() -> None:
    """The budget is of both."""
    events = await answered(OPENED, "one two", replace(HELLO, max_tokens=5))

    assert (thought_of(events), text_of(events)) == ("one t", "")


async def test_constraint_lets_the_model_think_first() -> None:
    """Calls and answers in a format come behind the block; a switched off block is none."""
    server = Server(lambda *_: say("<think>{</think>", CALL), template=THINKING)
    tools = ChatRequest(
        "fake", HELLO.messages, tools=(FunctionTool("f"),), tool_choice=ToolChoice("required")
    )
    events = await server.answer(tools)
    await server.answer(replace(tools, template_options={"enable_thinking": False}))
    opened = Server(lambda *_: say("a</think>{}"), template=OPENED)
    await opened.answer(replace(HELLO, response_format=JsonObjectFormat()))
    await opened.answer(
        replace(HELLO, response_format=JsonObjectFormat(), template_options={"enable_thinking": False})
    )

    assert thought_of(events) == "{"
    assert [event.name for event in events if isinstance(event, ToolCallStarted)] == ["f"]
    kinds = [request.constraint for request in (*server.asked, *opened.asked)]
    assert all(kinds)
    texts = [constraint.text for constraint in kinds if constraint]
    assert texts[0].startswith('start: "<think>" thought') or "thought[lazy]" in texts[0]
    assert texts[1].startswith('start: "<tool_call>" called') or "thought" in texts[1]
    assert texts[2].startswith("start: thought SPACE answer\n")
    assert texts[3].startswith('{"type":"object"')


async def test_reasoning_of_the_history_is_no_part_of_what_was_said() -> None:
    """It is for the template, which the fake one leaves out."""
    server = Server(template=THINKING)
    said = Message("assistant", "Hi", reasoning="secret <|im_end|>")
    await server.answer(replace(HELLO, messages=(said, *HELLO.messages), max_tokens=1))

    assert b"secret" not in bytes(token for token in server.asked[0].prompt if token < 256)
