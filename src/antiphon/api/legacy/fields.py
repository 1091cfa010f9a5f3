"""Every field of a text completion request, with what this server does about it.

What a text completion shares with a chat completion is the very same field.
"""

from typing import Any

from antiphon.api.wire import fields
from antiphon.api.wire.fields import Field
from antiphon.api.wire.reader import (
    Cursor,
    array_of,
    integer,
    read_array,
    read_bool,
    read_string,
    wrong_type,
)
from antiphon.core.errors import ArrayTooLong, EmptyArray, UnsupportedParameter
from antiphon.core.messages import Prompt

MAX_PROMPTS = 128
MAX_PROMPT_TOKENS = 262_144
"""Ids of one prompt that a client may send."""
MAX_TOKENS_DEFAULT = 16

_INT32 = 2**31 - 1


def read_prompts(cursor: Cursor) -> tuple[Prompt, ...]:
    """One prompt or several: a string, strings, token ids, or arrays of token ids."""
    if isinstance(cursor.value, str):
        return (cursor.value,)
    if not isinstance(cursor.value, list):
        raise wrong_type(cursor, "one of a string or array")
    if not cursor.value:
        raise EmptyArray(cursor.path)
    if isinstance(cursor.value[0], int | float):
        return (read_token_ids(cursor),)
    return array_of(_read_prompt, MAX_PROMPTS)(cursor)


def read_token_ids(cursor: Cursor) -> tuple[int, ...]:
    """Token ids, at least one; whether the model has them is not checked here."""
    items = read_array(cursor)
    if not items:
        raise EmptyArray(cursor.path)
    if len(items) > MAX_PROMPT_TOKENS:
        raise ArrayTooLong(cursor.path, MAX_PROMPT_TOKENS, len(items))
    # The usual case at once: the exact reader takes a second for the longest prompts.
    ids = tuple(item for item in items if type(item) is int and 0 <= item <= _INT32)
    return ids if len(ids) == len(items) else array_of(integer(0, _INT32), MAX_PROMPT_TOKENS)(cursor)


def _read_prompt(cursor: Cursor) -> Prompt:
    return cursor.value if isinstance(cursor.value, str) else read_token_ids(cursor)


def _refuse_suffix(cursor: Cursor) -> None:
    if read_string(cursor):
        raise UnsupportedParameter(cursor.path, "The models served continue a text, they fill no gaps.")


PROMPT: Field[tuple[Prompt, ...]] = Field(
    "prompt",
    read_prompts,
    (),
    required=True,
    reason="A string, strings, token ids, or arrays of token ids; up to 128 prompts. Control tokens that "
    "a text spells out are plain text; to mean them, send token ids.",
)
MAX_TOKENS: Field[int] = Field(
    "max_tokens",
    integer(0, _INT32),
    MAX_TOKENS_DEFAULT,
    reason="16 unless told; bounded by the context. 0 generates nothing: with `echo` and `logprobs` a text "
    "is scored.",
)
LOGPROBS: Field[int | None] = Field(
    "logprobs", integer(0, 5), None, reason="0 to 5; with `echo` of the prompt's tokens too."
)
ECHO: Field[bool] = Field(
    "echo",
    read_bool,
    False,
    reason="With `logprobs` the prompt's tokens have theirs; the first has `null`. Such a prompt is computed "
    "whole, whatever of it is cached. Where `max_tokens` is 1 it is delivered though it be an ending one.",
)
BEST_OF: Field[int | None] = Field("best_of", integer(1, 128), None, reason="Refused unless it is `n`.")
SUFFIX: Field[None] = Field(
    "suffix", _refuse_suffix, None, "refused", "The models served continue a text; an empty one passes."
)

FIELDS: tuple[Field[Any], ...] = (
    fields.MODEL,
    PROMPT,
    MAX_TOKENS,
    fields.N,
    BEST_OF,
    fields.TEMPERATURE,
    fields.TOP_P,
    fields.FREQUENCY_PENALTY,
    fields.PRESENCE_PENALTY,
    fields.SEED,
    fields.STOP,
    fields.LOGIT_BIAS,
    LOGPROBS,
    ECHO,
    fields.STREAM,
    fields.STREAM_OPTIONS,
    *fields.FORMATS,
    fields.SERVICE_TIER,
    fields.PROMPT_CACHE_KEY,
    *fields.SAMPLING_EXTENSIONS,
    fields.USER,
    SUFFIX,
)
"""The table, in the order in which a request is checked."""
