"""Opening completions: what is refused, and what the engine is asked for."""

from dataclasses import replace
from typing import Any

import pytest

from antiphon.core.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    InvalidValue,
    JsonWordMissing,
    Overloaded,
    SchemaRefused,
    UnsupportedParameter,
)
from antiphon.core.generation import Constraint, EngineFeature, SamplingParams
from antiphon.core.messages import (
    ChoiceFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    PatternFormat,
    SamplingOptions,
    ServiceTier,
)
from antiphon.engine.backends.fake import FakeTokenizer, Script, say
from antiphon.service.completions import CompletionsOptions
from antiphon.service.schemas import constraint_of
from antiphon.text.response_format import ANY_OBJECT
from antiphon.text.schema.gate import held
from tests.unit.service.serving import HELLO, Server

IMPOSSIBLE = {"type": "string", "minLength": 5, "maxLength": 2}
PROMPT_TOKENS = len("user\nHello" + "\n" + "assistant\n") + 3
"""Of `HELLO`: its bytes and three control tokens."""


async def test_completion_states_its_facts() -> None:
    """Everything but the answer is known when a completion opens."""
    server = Server()
    completion = await server.open(replace(HELLO, model="nickname", choices=2))
    other = await server.open(HELLO)

    assert (completion.model, completion.choices) == ("nickname", 2)
    assert completion.fingerprint == server.engine.info.fingerprint
    assert completion.prompt_tokens == PROMPT_TOKENS
    assert (len(completion.id), set(completion.id) <= set("0123456789abcdef")) == (32, True)
    assert completion.id != other.id
    await completion.aclose()
    await other.aclose()


@pytest.mark.parametrize(
    ("lacks", "changes", "param"),
    [
        ("priority", {"tier": "flex"}, "service_tier"),
        ("scored_constraints", {"response_format": JsonObjectFormat(), "top_logprobs": 2}, "logprobs"),
        ("constraints_with_minimum", {"response_format": JsonObjectFormat(), "min_tokens": 5}, "min_tokens"),
        ("budget_hint", {"response_format": JsonObjectFormat(), "budget_hint": True}, "budget_hint"),
    ],
)
async def test_what_the_engine_lacks_is_refused_by_name(
    lacks: EngineFeature, changes: dict[str, Any], param: str
) -> None:
    """Nothing is generated, and its place is free again; an engine that has it takes the request."""
    server = Server(lacks=(lacks,))

    with pytest.raises(UnsupportedParameter) as refused:
        await server.open(replace(HELLO, **changes))

    assert refused.value.param == param
    assert (server.asked, server.admission.choices) == ([], 0)
    await (await Server().open(replace(HELLO, **changes))).aclose()


async def test_sampling_reaches_the_engine() -> None:
    """Every choice of the caller is passed on under its own name."""
    server = Server()
    options = SamplingOptions(0.5, 0.0, 5, 0.1, 0.2, -0.3, 1.1, {7: -100.0}, seed=-4)
    wanted = replace(
        HELLO,
        sampling=options,
        top_logprobs=2,
        min_tokens=1,
        ignore_eos=True,
        stop_token_ids=(9,),
        max_tokens=3,
    )
    await server.answer(wanted)
    asked = server.asked[0]

    assert asked.sampling == SamplingParams(0.5, 0.0, 5, 0.1, 0.2, -0.3, 1.1, ((7, -100.0),), -4, 2)
    assert (asked.max_tokens, asked.min_tokens, asked.ignore_eos, asked.stop_token_ids) == (3, 1, True, (9,))


async def test_absent_seed_is_drawn_anew() -> None:
    """Two calls without a seed draw from different streams."""
    server = Server()
    await server.answer(HELLO)
    await server.answer(HELLO)

    assert server.asked[0].sampling.seed != server.asked[1].sampling.seed


@pytest.mark.parametrize(("wanted", "allowed"), [(None, 10), (4, 4), (10, 10), (10_000, 10)])
async def test_max_tokens_is_clamped_to_the_context(wanted: int | None, allowed: int) -> None:
    """An answer may fill the context and no more."""
    server = Server(context_length=PROMPT_TOKENS + 10)
    await server.answer(replace(HELLO, max_tokens=wanted))

    assert server.asked[0].max_tokens == allowed


async def test_prompt_that_leaves_no_room_is_refused() -> None:
    """One token of room is enough; none is not, and both numbers are told."""
    await Server(context_length=PROMPT_TOKENS + 1).answer(HELLO)
    with pytest.raises(ContextLengthExceeded) as refused:
        await Server(context_length=PROMPT_TOKENS).open(HELLO)

    assert (refused.value.limit_tokens, refused.value.prompt_tokens) == (PROMPT_TOKENS, PROMPT_TOKENS)


async def test_long_conversation_gives_the_same_prompt() -> None:
    """A prompt that is made in a thread is the prompt that would be made here."""
    server = Server(options=CompletionsOptions(inline_prompt_chars=0))
    await server.answer(HELLO)
    inline = Server()
    await inline.answer(HELLO)

    assert server.asked[0].prompt == inline.asked[0].prompt


async def test_text_that_looks_like_a_control_token_stays_text() -> None:
    """Only the template writes control tokens."""
    server = Server()
    await server.answer(replace(HELLO, messages=(Message("user", "<|im_end|>"),)))

    assert server.asked[0].prompt.count(FakeTokenizer().special_tokens["<|im_end|>"]) == 1


def any_object() -> Constraint:
    """What holds an answer to an object of any shape."""
    return constraint_of(held(ANY_OBJECT))


async def test_json_mode_constrains_to_an_object() -> None:
    """JSON mode is a constraint like any other."""
    server = Server()
    await server.answer(replace(HELLO, response_format=JsonObjectFormat()))

    assert server.asked[0].constraint == any_object()


@pytest.mark.parametrize("strict", [True, False])
async def test_schema_is_enforced_strict_or_not(strict: bool) -> None:
    """A schema that can be held is held, whatever was promised."""
    server = Server()
    schema = {"type": "object", "properties": {"b": {"type": "null"}, "a": {"type": "null"}}}
    await server.answer(replace(HELLO, response_format=JsonSchemaFormat("pair", schema, strict)))
    text = '{"type":"object","properties":{"b":{"type":"null"},"a":{"type":"null"}}'

    assert server.asked[0].constraint == Constraint("json_schema", text + ',"additionalProperties":false}')


async def test_strict_schema_that_cannot_be_held_is_refused_by_name() -> None:
    """The caller reads which format was refused and why."""
    server = Server()
    with pytest.raises(SchemaRefused) as refused:
        await server.open(replace(HELLO, response_format=JsonSchemaFormat("short", IMPOSSIBLE, strict=True)))

    assert refused.value.name == "short"
    assert "minLength" in refused.value.reason
    assert server.idle


async def test_loose_schema_that_cannot_be_held_falls_back_to_any_object() -> None:
    """Best effort is still JSON."""
    server = Server()
    await server.answer(replace(HELLO, response_format=JsonSchemaFormat("short", IMPOSSIBLE)))

    assert server.asked[0].constraint == any_object()


async def test_json_word_is_asked_for_only_where_the_rule_is_on() -> None:
    """With the rule on, some message must say "json" in some case."""
    strict = CompletionsOptions(require_json_word=True)
    silent = replace(HELLO, response_format=JsonObjectFormat())
    said = replace(silent, messages=(*HELLO.messages, Message("user", "as JSON please")))

    await Server().answer(silent)
    await Server(options=strict).answer(said)
    with pytest.raises(JsonWordMissing):
        await Server(options=strict).open(silent)


@pytest.mark.parametrize("refusal", [EngineUnavailable(), Overloaded()])
async def test_engine_that_takes_no_request_raises_and_keeps_nothing(
    refusal: EngineUnavailable | Overloaded,
) -> None:
    """A refusal by the engine becomes a status, and the room is given back."""
    server = Server(lambda request, choice: Script(refusal=refusal))
    with pytest.raises(type(refusal)):
        await server.open(HELLO)

    assert server.idle


async def test_stopped_engine_is_unavailable() -> None:
    """Before the engine starts, opening raises."""
    server = Server()
    with pytest.raises(EngineUnavailable):
        await server.completions.open(HELLO)

    assert server.idle


async def test_full_server_refuses_before_it_works() -> None:
    """Beyond the limit of choices a request is refused without looking at its prompt."""
    server = Server(lambda request, choice: say("x"))
    first = await server.open(replace(HELLO, choices=200))
    with pytest.raises(Overloaded):
        await server.open(replace(HELLO, choices=57))
    await first.aclose()

    assert len(await server.answer(replace(HELLO, choices=57))) > 57


async def test_template_that_refuses_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the caller while rendering gives the room back."""

    def refuse(*_: object) -> str:
        raise InvalidValue("messages", "Roles must alternate.")

    server = Server()
    monkeypatch.setattr("antiphon.engine.backends.fake.FakeChatTemplate.render", refuse)
    with pytest.raises(InvalidValue):
        await server.open(HELLO)

    assert server.idle


async def test_cached_beginnings_are_shared_within_a_project_and_key_only() -> None:
    """No pair of them can be written so that it looks like another pair."""
    server = Server()
    pairs = [("", ""), ("p", ""), ("", "p"), ("p", "q"), ("pq", ""), ("p", ""), ('p", "', "q")]
    for project, key in pairs:
        await (await server.open(replace(HELLO, cache_key=key), project)).aclose()
    salts = [request.cache_salt for request in server.asked]
    assert len(set(salts)) == len(set(pairs))
    assert salts[1] == salts[5]


@pytest.mark.parametrize(("tier", "priority"), [("flex", -1), ("default", 0), ("priority", 1)])
async def test_tier_is_a_place_in_the_queue(tier: ServiceTier, priority: int) -> None:
    """And the completion tells it."""
    server = Server()
    completion = await server.open(replace(HELLO, tier=tier))
    assert (completion.tier, server.asked[0].priority) == (tier, priority)
    await completion.aclose()


@pytest.mark.parametrize(
    ("wanted", "constraint"),
    [
        (PatternFormat("lark", 'start: "a"', "guided_grammar"), Constraint("lark", 'start: "a"')),
        (ChoiceFormat(("a\nb", 'é"'), "guided_choice"), Constraint("lark", 'start: "a\\nb" | "é\\""\n')),
    ],
)
async def test_patterns_are_constraints(wanted: PatternFormat | ChoiceFormat, constraint: Constraint) -> None:
    """A choice is a grammar of its texts."""
    server = Server()
    await (await server.open(replace(HELLO, response_format=wanted))).aclose()
    assert server.asked[0].constraint == constraint


async def test_pattern_that_cannot_be_held_is_refused_by_the_name_of_its_field() -> None:
    """With the engine's reason."""
    with pytest.raises(InvalidValue) as caught:
        await Server().open(replace(HELLO, response_format=PatternFormat("regex", "[ab", "guided_regex")))
    assert caught.value.param == "guided_regex"
    assert caught.value.reason.startswith("Invalid 'guided_regex': ")
    assert "invalid regex" in caught.value.reason
