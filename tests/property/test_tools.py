"""Calls, from the grammar that holds them to the events they become, for any tools and any split."""

import json

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.events import TextDelta, ToolArgumentsDelta, ToolCallStarted
from antiphon.core.generation import TokenDelta
from antiphon.core.messages import FunctionTool, ToolChoice
from antiphon.engine.backends.fake import FakeTokenizer
from antiphon.engine.backends.fake.held_answer import held_answer
from antiphon.service.choice_calls import ChoiceCalls
from antiphon.service.choice_text import ChoiceText, TokenScorer
from antiphon.text.stop import StopStrings
from antiphon.text.tools.custom import InputReader, written_texts
from antiphon.text.tools.grammar import CallRules, arguments_schema, tool_constraint
from antiphon.text.tools.parser import HERMES_CALLS, CallForms
from antiphon.text.tools.syntax import HERMES, SYNTAXES, CallSyntax
from tests.byte_grammar import accepts, byte_compiler

COMPILER = byte_compiler()
VALUES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "enum": ["a b", "</parameter>"]},
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "number"},
        {"type": "boolean"},
        {"enum": ["a}", '"b', 3, None]},
        {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    ]
)
SCHEMAS = st.tuples(
    st.dictionaries(st.text('ab }"é', min_size=1, max_size=3), VALUES, max_size=3), st.integers(0, 3)
).map(lambda of: {"type": "object", "properties": of[0], "required": sorted(of[0])[of[1] :]})
TOOLS = st.lists(
    st.tuples(st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True), SCHEMAS), min_size=1, max_size=3
)
CHOICES = st.sampled_from([ToolChoice(mode) for mode in ("auto", "required")])
TOKENIZER = FakeTokenizer()

Heard = tuple[str, list[tuple[str, str]]]


def heard(pieces: list[bytes], openings: tuple[str, ...], forms: CallForms = HERMES_CALLS) -> Heard:
    """Text, and per call its name and arguments."""
    text = ChoiceText(TOKENIZER, TokenScorer(TOKENIZER), StopStrings(()), 0, StopStrings(openings))
    calls = ChoiceCalls(forms)
    events: list[object] = []
    for piece in pieces:
        events.append(text.push(TokenDelta(0, tuple(piece)), 0))
        events += calls.push(text.take_call(), 0)
    events.append(text.flush(0))
    told = "".join(event.text for event in events if isinstance(event, TextDelta))
    names = [event for event in events if isinstance(event, ToolCallStarted)]
    arguments = [event for event in events if isinstance(event, ToolArgumentsDelta)]
    return told, [
        (call.name, "".join(more.text for more in arguments if more.index == call.index)) for call in names
    ]


@settings(max_examples=60)
@given(
    st.sampled_from(list(SYNTAXES.values())),
    TOOLS,
    CHOICES,
    st.booleans(),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_answer_under_the_grammar_is_read_as_what_it_is(  # noqa: PLR0917
    syntax: CallSyntax,
    tools: list[tuple[str, dict[str, object]]],
    choice: ToolChoice,
    parallel: bool,
    chance: object,
    data: st.DataObject,
) -> None:
    """The grammar accepts it, any split reads alike, and arguments are valid under the function's schema."""
    functions = [FunctionTool(name, None, schema) for name, schema in dict(tools).items()]
    forms = CallForms(syntax, texts=written_texts(functions))
    constraint = tool_constraint(functions, choice, parallel, None, CallRules(syntax, texts=forms.texts))
    answer = held_answer(constraint, chance)  # type: ignore[arg-type]

    assert accepts(COMPILER, constraint, answer)
    raw = answer.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    openings = syntax.openings(tool.name for tool in functions)
    told, calls = heard(pieces, openings, forms)
    assert (told, calls) == heard([bytes([byte]) for byte in raw], openings, forms)
    begin = min((answer.index(opening) for opening in openings if opening in answer), default=len(answer))
    assert told == answer[:begin]
    assert bool(calls) == (begin < len(answer))
    for name, arguments in calls:
        schema = next(tool.parameters for tool in functions if tool.name == name)
        jsonschema.validate(json.loads(arguments), dict(arguments_schema(schema)))


@given(st.text(), st.booleans(), st.lists(st.integers(0, 60), max_size=6))
def test_input_comes_out_of_its_json_whole(text: str, ascii: bool, cuts: list[int]) -> None:
    """Any text, however its JSON is written and split."""
    written = json.dumps({"input": text}, ensure_ascii=ascii, separators=(",", ":"))
    reader, ends = InputReader(), [*sorted(cuts), len(written)]

    assert "".join(reader.push(written[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)) == text


@given(st.text("<tol_ca>é\n", max_size=40), st.integers(1, 5))
def test_text_that_calls_nothing_is_all_text(text: str, size: int) -> None:
    """However much it looks like the beginning of a tag."""
    raw = text.encode()
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]

    if HERMES.opening not in text:
        assert heard(pieces, (HERMES.opening,)) == (text, [])
