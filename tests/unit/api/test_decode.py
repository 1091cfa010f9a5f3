"""From a decoded body to a chat request."""

import pytest

from antiphon.api.app import ApiOptions
from antiphon.api.decode import ChatCall, decode_chat
from antiphon.core.errors import (
    InvalidRequest,
    InvalidValue,
    MissingParameter,
    ModelNotFound,
    NumberOutOfRange,
    UnknownParameter,
)
from antiphon.core.messages import ChatRequest, JsonObjectFormat, Message, PatternFormat, SamplingOptions
from tests.unit.api.scripted import VOCAB_SIZE, registry

DEFAULTS = ApiOptions()
HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def decode(options: ApiOptions = DEFAULTS, **fields: object) -> ChatCall:
    """Decode a short request with these fields."""
    return decode_chat({**HI, **fields}, registry(), options)


def test_minimal_request_takes_all_defaults() -> None:
    """Only model and messages are needed."""
    assert decode() == ChatCall(
        request=ChatRequest("m", (Message("user", "Hi"),)),
        stream=False,
        include_usage=False,
        obfuscate=False,
        functions=False,
        wish=None,
        ignored=(),
    )


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        (
            {"reasoning_effort": "none"},
            {"enable_thinking": False, "thinking": False, "reasoning_effort": "none"},
        ),
        ({"reasoning_effort": "low"}, {"enable_thinking": True, "thinking": True, "reasoning_effort": "low"}),
        (
            {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}},
            {"enable_thinking": True, "thinking": False, "reasoning_effort": "none"},
        ),
        ({"reasoning_effort": None}, {}),
    ],
)
def test_effort_switches_the_template(fields: dict[str, object], options: dict[str, object]) -> None:
    """What is said of a switch by its name wins."""
    assert decode(**fields).request.template_options == options  # type: ignore[arg-type]


def test_every_field_arrives_where_it_belongs() -> None:
    """Nothing is lost or swapped on the way."""
    call = decode(
        max_completion_tokens=7,
        n=3,
        temperature=0.25,
        top_p=0.75,
        frequency_penalty=-1,
        presence_penalty=1.5,
        seed=42,
        stop=["a", "b"],
        logit_bias={"5": 10},
        logprobs=True,
        top_logprobs=4,
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": True},
        response_format={"type": "json_object"},
        top_k=40,
        min_p=0.125,
        repetition_penalty=1.25,
        min_tokens=2,
        ignore_eos=True,
        stop_token_ids=[9],
        budget_hint=True,
        service_tier="priority",
        prompt_cache_key="k",
        chat_template_kwargs={"enable_thinking": False},
    )
    sampling = SamplingOptions(0.25, 0.75, 40, 0.125, -1.0, 1.5, 1.25, {5: 10.0}, 42)
    assert call.request == ChatRequest(
        model="m",
        messages=(Message("user", "Hi"),),
        sampling=sampling,
        choices=3,
        max_tokens=7,
        stop=("a", "b"),
        response_format=JsonObjectFormat(),
        top_logprobs=4,
        min_tokens=2,
        ignore_eos=True,
        stop_token_ids=(9,),
        budget_hint=True,
        tier="priority",
        cache_key="k",
        template_options={"enable_thinking": False},
    )
    assert (call.stream, call.include_usage, call.obfuscate) == (True, True, True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_newer_name_of_the_token_limit_wins(fields: dict[str, object], expected: int) -> None:
    """Proxies send both."""
    assert decode(**fields).request.max_tokens == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
    ],
)
def test_logprobs_and_their_number_belong_together(fields: dict[str, object], expected: int | None) -> None:
    """None is off; 0 is the drawn token's own."""
    assert decode(**fields).request.top_logprobs == expected  # type: ignore[arg-type]


def test_top_logprobs_need_logprobs() -> None:
    """OpenAI's own refusal."""
    with pytest.raises(InvalidValue) as caught:
        decode(top_logprobs=2)
    assert (caught.value.param, caught.value.code) == ("top_logprobs", None)
    assert caught.value.reason == "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        ("flex", "flex"),
        ("default", "default"),
        ("auto", "default"),
        ("fast", "default"),
        ("priority", "priority"),
    ],
)
def test_tiers_there_are(asked: str, tier: str) -> None:
    """Others are the default, and the answer says so."""
    assert decode(service_tier=asked).request.tier == tier


def test_any_field_may_say_what_the_answer_looks_like() -> None:
    """But one only: two could contradict each other."""
    assert decode(guided_regex="a").request.response_format == PatternFormat("regex", "a", "guided_regex")
    with pytest.raises(InvalidValue) as caught:
        decode(guided_regex="a", response_format={"type": "json_object"})
    assert caught.value.param == "guided_regex"
    assert decode(guided_regex="a", response_format={"type": "text"})


def test_top_k_of_minus_one_is_off() -> None:
    """As SGLang and vLLM write it."""
    assert decode(top_k=-1).request.sampling.top_k == 0


def test_stream_options_without_stream_do_nothing() -> None:
    """Gateways leak them."""
    assert decode(stream_options={"include_usage": True}).stream is False


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {str(VOCAB_SIZE): 1}},
        {"logit_bias": {"9999999999": 1}},
        {"stop_token_ids": [VOCAB_SIZE]},
    ],
)
def test_token_ids_must_exist(fields: dict[str, object]) -> None:
    """An id the model does not have is a mistake, not a wish without effect."""
    with pytest.raises(InvalidValue) as caught:
        decode(**fields)  # type: ignore[arg-type]
    assert caught.value.param == next(iter(fields))


def test_last_token_id_exists() -> None:
    """Ids run up to the size of the vocabulary, exclusive."""
    assert decode(logit_bias={str(VOCAB_SIZE - 1): 1}, stop_token_ids=[VOCAB_SIZE - 1])


def test_choices_are_capped_by_the_operator() -> None:
    """Below OpenAI's own cap."""
    options = ApiOptions(max_choices=2)
    assert decode(options, n=2).request.choices == 2
    with pytest.raises(NumberOutOfRange) as caught:
        decode(options, n=3)
    assert (caught.value.param, caught.value.maximum) == ("n", 2)


def test_alias_is_a_model() -> None:
    """The name the client asked for is kept."""
    assert decode(model="org/m:1").request.model == "org/m:1"


def test_unknown_model_is_not_found() -> None:
    """By its exact name."""
    with pytest.raises(ModelNotFound):
        decode(model="M")


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_required_fields_are_missed_by_name(missing: str) -> None:
    """Absent and null alike."""
    for body in ({**HI, missing: None}, {key: value for key, value in HI.items() if key != missing}):
        with pytest.raises(MissingParameter) as caught:
            decode_chat(body, registry(), ApiOptions())
        assert caught.value.param == missing


@pytest.mark.parametrize("body", [[], "x", 1, None, True])
def test_body_must_be_an_object(body: object) -> None:
    """Other JSON is JSON, but not a request."""
    with pytest.raises(InvalidRequest) as caught:
        decode_chat(body, registry(), ApiOptions())
    assert caught.value.param is None


def test_unknown_fields_are_reported_or_refused() -> None:
    """Leniently by default, as OpenAI where that is asked for."""
    assert decode(foo=1, bar=2).ignored == ("foo", "bar")
    with pytest.raises(UnknownParameter) as caught:
        decode(ApiOptions(strict_fields=True), foo=1)
    assert caught.value.param == "foo"


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("function", "f", None),
        ("custom", "c", None),
        ("custom", "f", "'f' is not in 'tools' as a custom tool."),
        ("function", "c", "'c' is not in 'tools' as a function."),
        ("function", "g", "'g' is not in 'tools'."),
    ],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_chosen_tool_is_of_the_kind_that_is_said(
    kind: str, name: str, reason: str | None, allowed: bool
) -> None:
    """Alone or among those that are allowed."""
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]
    choice: dict[str, object] = {"type": kind, kind: {"name": name}}
    if allowed:
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [choice]}}
    if reason is None:
        assert decode(tools=tools, tool_choice=choice).request.tool_choice.names == (name,)
        return
    with pytest.raises(InvalidValue) as caught:
        decode(tools=tools, tool_choice=choice)
    assert (caught.value.param, caught.value.reason) == (
        "tool_choice",
        f"Invalid value for 'tool_choice': {reason}",
    )
