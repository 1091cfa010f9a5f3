"""From the wire to the conversation vocabulary: a decoded JSON body becomes a `ChatRequest`.

The rules that concern several fields at once live here; what one field may hold is in `wire`.
Defaults of sampling are the table's. Nothing here runs, renders or counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from antiphon.api.options import ApiOptions
from antiphon.api.wire import fields
from antiphon.api.wire.fields import FieldValues, read_fields, unknown_fields
from antiphon.api.wire.reader import Cursor
from antiphon.api.wire.words import type_name
from antiphon.core.errors import InvalidValue, NumberOutOfRange, UnknownParameter
from antiphon.core.messages import ChatRequest, SamplingOptions
from antiphon.service.models import ModelRegistry


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A decoded call: what to answer, and how the answer is to be spelled."""

    request: ChatRequest
    stream: bool
    include_usage: bool
    obfuscate: bool
    ignored: tuple[str, ...]
    """Fields the caller sent that have no effect and that it should hear about, as it spelled them."""


def decode_chat(body: object, models: ModelRegistry, options: ApiOptions) -> ChatCall:
    """Check a whole request.

    Raises:
        InvalidRequest: the first violation, with its path.
        ModelNotFound: nobody configured the model.
    """
    if not isinstance(body, dict):
        got = type_name(body)
        reason = f"Invalid body: expected an object, but got {got} instead."
        raise InvalidValue(None, reason, code="invalid_type")
    cursor = Cursor(body)
    unknown = unknown_fields(cursor)
    if unknown and options.strict_fields:
        raise UnknownParameter(unknown[0])
    values = read_fields(cursor)
    _check_choices(values, options)
    request = _request(values)
    _check_token_ids(request, models.get(request.model).vocab_size)
    streamed = values[fields.STREAM]
    stream_options = values[fields.STREAM_OPTIONS]
    return ChatCall(
        request=request,
        stream=streamed,
        include_usage=stream_options.include_usage,
        obfuscate=stream_options.include_obfuscation,
        ignored=unknown + values.announced(),
    )


def _request(values: FieldValues) -> ChatRequest:
    max_completion_tokens = values[fields.MAX_COMPLETION_TOKENS]
    max_tokens = values[fields.MAX_TOKENS]
    return ChatRequest(
        model=values[fields.MODEL],
        messages=values[fields.MESSAGES],
        sampling=_sampling(values),
        choices=values[fields.N],
        max_tokens=max_tokens if max_completion_tokens is None else max_completion_tokens,
        stop=values[fields.STOP],
        response_format=values[fields.RESPONSE_FORMAT],
        top_logprobs=_top_logprobs(values),
        min_tokens=values[fields.MIN_TOKENS],
        ignore_eos=values[fields.IGNORE_EOS],
        stop_token_ids=values[fields.STOP_TOKEN_IDS],
    )


def _sampling(values: FieldValues) -> SamplingOptions:
    return SamplingOptions(
        temperature=values[fields.TEMPERATURE],
        top_p=values[fields.TOP_P],
        top_k=max(values[fields.TOP_K], 0),
        min_p=values[fields.MIN_P],
        frequency_penalty=values[fields.FREQUENCY_PENALTY],
        presence_penalty=values[fields.PRESENCE_PENALTY],
        repetition_penalty=values[fields.REPETITION_PENALTY],
        logit_bias=values[fields.LOGIT_BIAS],
        seed=values[fields.SEED],
    )


def _top_logprobs(values: FieldValues) -> int | None:
    top = values[fields.TOP_LOGPROBS]
    if values[fields.LOGPROBS]:
        return top or 0
    if top:
        reason = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise InvalidValue("top_logprobs", reason, code=None)
    return None


def _check_choices(values: FieldValues, options: ApiOptions) -> None:
    choices = values[fields.N]
    if choices > options.max_choices:
        raise NumberOutOfRange("n", choices, integer=True, maximum=options.max_choices)


def _check_token_ids(request: ChatRequest, vocab_size: int) -> None:
    _check_vocabulary("logit_bias", request.sampling.logit_bias, vocab_size)
    _check_vocabulary("stop_token_ids", request.stop_token_ids, vocab_size)


def _check_vocabulary(name: str, token_ids: Iterable[int], vocab_size: int) -> None:
    for token_id in token_ids:
        if token_id >= vocab_size:
            reason = (
                f"Invalid token id in '{name}': {token_id}. "
                f"This model's vocabulary has the ids from 0 to {vocab_size - 1}."
            )
            raise InvalidValue(name, reason)
