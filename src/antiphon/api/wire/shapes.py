"""Readers for request fields with a shape of their own: `stop`, `logit_bias`, `metadata` and such.

Each checks form and size only. Whether a token id exists is checked where the model is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from antiphon.api.wire.reader import (
    Cursor,
    Reader,
    array_of,
    number,
    one_of,
    optional,
    read_bool,
    read_object,
    read_string,
    string,
    wrong_type,
)
from antiphon.api.wire.words import excerpt
from antiphon.core.errors import ArrayTooLong, InvalidValue, StringTooLong, UnsupportedParameter

MAX_STOPS = 16
"""OpenAI stops at 4; editors and agents send more."""
MAX_STOP_LENGTH = 256
MAX_LOGIT_BIASES = 1024
MAX_METADATA = 16
MAX_PARTS = 4096
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What `stream_options` asks for."""

    include_usage: bool = False
    include_obfuscation: bool = False


def read_stream_options(cursor: Cursor) -> StreamOptions:
    """The options of a stream; unknown ones are ignored."""
    return StreamOptions(
        include_usage=optional(cursor.field("include_usage"), read_bool, False),
        include_obfuscation=optional(cursor.field("include_obfuscation"), read_bool, False),
    )


def read_stop(cursor: Cursor) -> tuple[str, ...]:
    """One stop string or several; empty ones stop nothing and are dropped."""
    read_one = string(MAX_STOP_LENGTH)
    if isinstance(cursor.value, str):
        stops: tuple[str, ...] = (read_one(cursor),)
    elif isinstance(cursor.value, list):
        stops = array_of(read_one, MAX_STOPS)(cursor)
    else:
        raise wrong_type(cursor, "one of a string or array of strings")
    return tuple(stop for stop in stops if stop)


def read_logit_bias(cursor: Cursor) -> Mapping[int, float]:
    """Token id, written as a string, to bias."""
    members = read_object(cursor)
    if len(members) > MAX_LOGIT_BIASES:
        raise ArrayTooLong(cursor.path, MAX_LOGIT_BIASES, len(members))
    read_bias = number(-100, 100)
    return {_token_id(cursor.path, key): read_bias(cursor.field(key)) for key in members}


def _token_id(path: str, key: str) -> int:
    # Ten digits hold every id of every vocabulary, and int() of more could take long.
    if not (key.isascii() and key.isdigit() and len(key) <= 10):
        reason = (
            f"Invalid key in '{path}': '{excerpt(key)}'. Expected token ids written as strings of digits."
        )
        raise InvalidValue(path, reason)
    return int(key)


def read_metadata(cursor: Cursor) -> Mapping[str, str]:
    """Up to 16 labels of bounded length."""
    members = read_object(cursor)
    if len(members) > MAX_METADATA:
        reason = (
            f"Invalid '{cursor.path}': too many properties. Expected an object with at most {MAX_METADATA}"
            f" properties, but got an object with {len(members)} properties instead."
        )
        raise InvalidValue(cursor.path, reason, code="object_above_max_properties")
    for key in members:
        if len(key) > MAX_METADATA_KEY:
            raise StringTooLong(cursor.path, MAX_METADATA_KEY, len(key))
    return {key: string(MAX_METADATA_VALUE)(cursor.field(key)) for key in members}


def read_template_kwargs(cursor: Cursor) -> Mapping[str, bool | str]:
    """Switches of chat templates. Others are refused: free text could write control tokens."""
    allowed: Mapping[str, Reader[bool] | Reader[str]] = {
        "enable_thinking": read_bool,
        "thinking": read_bool,
        "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    }
    for key in read_object(cursor):
        if key not in allowed:
            known = ", ".join(f"'{name}'" for name in allowed)
            reason = f"Only these are passed on to chat templates: {known}."
            raise UnsupportedParameter(f"{cursor.path}.{excerpt(key)}", reason)
    return {key: read(cursor.field(key)) for key, read in allowed.items() if not cursor.field(key).absent}


def read_modalities(cursor: Cursor) -> None:
    """Text is what there is; asking for audio is refused."""
    for modality in array_of(read_string, 8)(cursor):
        if modality != "text":
            raise UnsupportedParameter(cursor.path, "This server answers in text only.")


def read_prediction(cursor: Cursor) -> None:
    """A draft of the answer: a string or text parts."""
    one_of("content")(cursor.field("type"))
    content = cursor.field("content")
    if isinstance(content.value, str):
        return
    if not isinstance(content.value, list):
        raise wrong_type(content, "one of a string or array of objects")
    array_of(_read_text_part, MAX_PARTS, minimum=1)(content)


def _read_text_part(cursor: Cursor) -> None:
    read_object(cursor)
    one_of("text")(cursor.field("type"))
    read_string(cursor.field("text"))


def refused_object(reason: str) -> Reader[None]:
    """Read an object whose mere presence asks for something this server does not do."""

    def read(cursor: Cursor) -> None:
        read_object(cursor)
        raise UnsupportedParameter(cursor.path, reason)

    return read
