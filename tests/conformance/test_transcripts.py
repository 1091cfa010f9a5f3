"""Streams and completions to the byte, for each variant of an answer.

The expected texts are written out: they are what clients of the API parse. Words in braces stand
for what is the same everywhere; the lines of a stream are its events.
"""

from dataclasses import dataclass, field

import pytest

from antiphon.core.errors import EngineUnavailable
from antiphon.core.events import (
    AlternativeToken,
    ChoiceEnded,
    Completed,
    Failed,
    ReasoningDelta,
    ScoredToken,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedCompletions, Step

CHUNK_HEAD = (
    '"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"m",'
    '"service_tier":"default","system_fingerprint":"fp_test"'
)
COMPLETION_HEAD = (
    '"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1700000000,"model":"m"'
)
COMPLETION_TAIL = '"service_tier":"default","system_fingerprint":"fp_test"'
NO_REASONING = (
    '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}'
)
FAILURE = (
    '{"error":{"message":"The model is not available at the moment: its engine is starting. '
    'Please try again later.",'
    '"type":"service_unavailable_error","param":null,"code":null}}'
)

TOOLS = [{"type": "function", "function": {"name": "f"}}]
CALL: tuple[Step, ...] = (
    ToolCallStarted(0, 0, "a1", "f"),
    ToolArgumentsDelta(0, 0, '{"x":'),
    ToolArgumentsDelta(0, 0, "1}"),
)


@dataclass(frozen=True)
class Case:
    """One completion, what is asked of it, and both ways of sending it."""

    steps: tuple[Step, ...]
    stream: str
    """The events of the stream, one a line."""
    whole: str
    """The body of the answer that is not streamed."""
    fields: dict[str, object] = field(default_factory=dict)
    stream_options: dict[str, bool] | None = None


CASES = {
    "text": Case(
        steps=(
            TextDelta(0, "Hel"),
            TextDelta(0, "lo 😀"),
            ChoiceEnded(0, "stop"),
            Completed(Usage(prompt_tokens=9, completion_tokens=3)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":"lo 😀"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"Hello 😀","refusal":null,
"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "usage": Case(
        stream_options={"include_usage": True},
        steps=(
            TextDelta(0, "Hi"),
            ChoiceEnded(0, "length"),
            Completed(Usage(prompt_tokens=9, completion_tokens=1, cached_tokens=8)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}
{{head},"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],"usage":null}
{{head},"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},{details}}}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},
"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,
"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},{details}},{tail}}""",
    ),
    "logprobs": Case(
        fields={"logprobs": True, "top_logprobs": 1},
        steps=(
            TextDelta(0, "A", (ScoredToken("A", b"A", -0.5, (AlternativeToken("B", b"B", -0.25),)),)),
            ChoiceEnded(0, "stop"),
            Completed(Usage(prompt_tokens=1, completion_tokens=1)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":{"content":[],"refusal":null},"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":"A"},"logprobs":{"content":[{"token":"A","logprob":-0.5,"bytes":[65],"top_logprobs":[{"token":"B","logprob":-0.25,"bytes":[66]}]}],"refusal":null},"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"A","refusal":null,"annotations":[]},
"logprobs":{"content":[{"token":"A","logprob":-0.5,"bytes":[65],"top_logprobs":[{"token":"B","logprob":-0.25,
"bytes":[66]}]}],"refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,
"total_tokens":2,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "two choices": Case(
        fields={"n": 2},
        stream_options={"include_usage": True},
        steps=(
            TextDelta(1, "b"),
            TextDelta(0, "a"),
            ChoiceEnded(1, "length"),
            ChoiceEnded(0, "stop"),
            Completed(Usage(prompt_tokens=1, completion_tokens=2)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}
{{head},"choices":[{"index":1,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}
{{head},"choices":[{"index":1,"delta":{"content":"b"},"logprobs":null,"finish_reason":null}],"usage":null}
{{head},"choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}],"usage":null}
{{head},"choices":[{"index":1,"delta":{},"logprobs":null,"finish_reason":"length"}],"usage":null}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}
{{head},"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}}}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null,"annotations":[]},
"logprobs":null,"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"b","refusal":null,
"annotations":[]},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,
"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "nothing generated": Case(
        steps=(ChoiceEnded(0, "stop"), Completed(Usage(prompt_tokens=1, completion_tokens=0))),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":null,"annotations":[]},
"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "text and two calls": Case(
        fields={"tools": TOOLS},
        steps=(
            TextDelta(0, "Hm"),
            *CALL,
            ToolCallStarted(0, 1, "b2", "f"),
            ToolArgumentsDelta(0, 1, "{}"),
            ChoiceEnded(0, "tool_calls"),
            Completed(Usage(prompt_tokens=1, completion_tokens=2)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":"Hm"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a1","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"x\\":"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b2","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"Hm","refusal":null,"annotations":[],
"tool_calls":[{"id":"call_a1","type":"function","function":{"name":"f","arguments":"{\\"x\\":1}"}},
{"id":"call_b2","type":"function","function":{"name":"f","arguments":"{}"}}]},
"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "required call": Case(
        fields={"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
        steps=(*CALL, ChoiceEnded(0, "stop"), Completed(Usage(prompt_tokens=1, completion_tokens=2))),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a1","type":"function","function":{"name":"f","arguments":""}}],"refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"x\\":"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"annotations":[],
"tool_calls":[{"id":"call_a1","type":"function","function":{"name":"f","arguments":"{\\"x\\":1}"}}]},
"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "deprecated call": Case(
        fields={"functions": [{"name": "f"}]},
        steps=(*CALL, ChoiceEnded(0, "tool_calls"), Completed(Usage(prompt_tokens=1, completion_tokens=2))),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"function_call":{"arguments":"{\\"x\\":"}},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"function_call":{"arguments":"1}"}},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"function_call"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"annotations":[],
"function_call":{"name":"f","arguments":"{\\"x\\":1}"}},
"logprobs":null,"finish_reason":"function_call"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "custom call": Case(
        fields={"tools": [{"type": "custom", "custom": {"name": "c"}}], "tool_choice": "required"},
        steps=(
            ToolCallStarted(0, 0, "a1", "c", custom=True),
            ToolArgumentsDelta(0, 0, 'say"'),
            ToolArgumentsDelta(0, 0, "é\n"),
            ChoiceEnded(0, "tool_calls"),
            Completed(Usage(prompt_tokens=1, completion_tokens=2)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a1","type":"custom","custom":{"name":"c","input":""}}],"refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"custom":{"input":"say\\""}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"custom":{"input":"é\\n"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"annotations":[],
"tool_calls":[{"id":"call_a1","type":"custom","custom":{"name":"c","input":"say\\"é\\n"}}]},
"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "choices that begin out of order, with tools": Case(
        fields={"tools": TOOLS, "n": 3, "logprobs": True},
        steps=(
            ToolCallStarted(1, 0, "a1", "f"),
            TextDelta(2, "c", (ScoredToken("c", b"c", -0.5),)),
            ToolArgumentsDelta(1, 0, "{}"),
            ChoiceEnded(0, "stop"),
            ChoiceEnded(1, "tool_calls"),
            ChoiceEnded(2, "stop"),
            Completed(Usage(prompt_tokens=1, completion_tokens=2)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":{"content":[],"refusal":null},"finish_reason":null}]}
{{head},"choices":[{"index":1,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a1","type":"function","function":{"name":"f","arguments":""}}],"refusal":null},"logprobs":{"content":[],"refusal":null},"finish_reason":null}]}
{{head},"choices":[{"index":2,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":{"content":[],"refusal":null},"finish_reason":null}]}
{{head},"choices":[{"index":2,"delta":{"content":"c"},"logprobs":{"content":[{"token":"c","logprob":-0.5,"bytes":[99],"top_logprobs":[]}],"refusal":null},"finish_reason":null}]}
{{head},"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
{{head},"choices":[{"index":1,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}
{{head},"choices":[{"index":2,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":null,"annotations":[]},
"logprobs":{"content":[],"refusal":null},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":null,
"refusal":null,"annotations":[],"tool_calls":[{"id":"call_a1","type":"function","function":{"name":"f","arguments":"{}"}}]},
"logprobs":{"content":[],"refusal":null},"finish_reason":"tool_calls"},{"index":2,"message":{"role":"assistant","content":"c",
"refusal":null,"annotations":[]},"logprobs":{"content":[{"token":"c","logprob":-0.5,"bytes":[99],"top_logprobs":[]}],
"refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "reasoning": Case(
        steps=(
            ReasoningDelta(0, "Hm"),
            ReasoningDelta(0, "!"),
            TextDelta(0, "Hi"),
            ChoiceEnded(0, "stop"),
            Completed(Usage(prompt_tokens=1, completion_tokens=4, reasoning_tokens=3)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"reasoning_content":"Hm"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"reasoning_content":"!"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[],
"reasoning_content":"Hm!"},"logprobs":null,"finish_reason":"stop"}],
"usage":{"prompt_tokens":1,"completion_tokens":4,"total_tokens":5,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3,
"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},{tail}}""",
    ),
    "reasoning, then a call": Case(
        fields={"tools": TOOLS},
        steps=(
            ReasoningDelta(0, "Hm"),
            *CALL[:1],
            ToolArgumentsDelta(0, 0, "{}"),
            ChoiceEnded(0, "tool_calls"),
            Completed(Usage(prompt_tokens=1, completion_tokens=2)),
        ),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"reasoning_content":"Hm"},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a1","type":"function","function":{"name":"f","arguments":""}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}]}
[DONE]""",
        whole="""
{{head},"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"annotations":[],
"reasoning_content":"Hm","tool_calls":[{"id":"call_a1","type":"function","function":{"name":"f","arguments":"{}"}}]},
"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},{details}},{tail}}""",
    ),
    "failure": Case(
        steps=(TextDelta(0, "Hel"), Failed(EngineUnavailable())),
        stream="""
{{head},"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}
{{head},"choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}]}
{failure}""",
        whole="""
{failure}""",
    ),
}


def spelled_out(text: str, head: str) -> str:
    """An expected text with its abbreviations written out."""
    short = {"{head}": head, "{details}": NO_REASONING, "{tail}": COMPLETION_TAIL, "{failure}": FAILURE}
    for abbreviation, meaning in short.items():
        text = text.replace(abbreviation, meaning)
    return text


@pytest.mark.parametrize("name", CASES)
async def test_stream_is_exactly_this(name: str) -> None:
    """Every byte of the stream."""
    case = CASES[name]
    async with running(ScriptedCompletions(case.steps)) as live:
        response = await live.chat(stream=True, stream_options=case.stream_options, **case.fields)
    lines = spelled_out(case.stream, CHUNK_HEAD).splitlines()
    assert response.text == "".join(f"data: {line}\n\n" for line in lines if line)


@pytest.mark.parametrize("name", CASES)
async def test_whole_answer_is_exactly_this(name: str) -> None:
    """Every byte of the body."""
    case = CASES[name]
    async with running(ScriptedCompletions(case.steps)) as live:
        response = await live.chat(stream_options=case.stream_options, **case.fields)
    assert response.text == spelled_out(case.whole, COMPLETION_HEAD).replace("\n", "")
