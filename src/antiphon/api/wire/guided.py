"""Extensions that other servers have for what an answer must look like, as response formats.

`structured_outputs` and the older `guided_json`, `guided_regex`, `guided_choice` and `guided_grammar`
are vLLM's; grammars are in llguidance's Lark dialect. A schema given here is always held strictly.
"""

import json
from collections.abc import Callable
from typing import Final

from antiphon.api.wire.reader import Cursor, array_of, read_bool, read_object, string, wrong_type
from antiphon.core.errors import InvalidValue, UnsupportedParameter
from antiphon.core.messages import (
    ChoiceFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    PatternFormat,
    ResponseFormat,
)

MAX_PATTERN_LENGTH: Final = 64 * 1024
MAX_CHOICES: Final = 1024


def read_guided_json(cursor: Cursor) -> JsonSchemaFormat:
    """A JSON Schema, as an object or as its text."""
    value = cursor.value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            reason = f"Invalid '{cursor.path}': a JSON schema was expected, got a string that is no JSON."
            raise InvalidValue(cursor.path, reason) from None
    if not isinstance(value, dict):
        raise wrong_type(cursor, "an object")
    return JsonSchemaFormat(cursor.path, value, strict=True)


def read_guided_regex(cursor: Cursor) -> PatternFormat:
    """A regular expression for the whole answer."""
    return PatternFormat("regex", string(MAX_PATTERN_LENGTH)(cursor), cursor.path)


def read_guided_grammar(cursor: Cursor) -> PatternFormat:
    """A Lark grammar for the whole answer."""
    return PatternFormat("lark", string(MAX_PATTERN_LENGTH)(cursor), cursor.path)


def read_guided_choice(cursor: Cursor) -> ChoiceFormat:
    """The texts of which the answer is one."""
    texts = array_of(string(MAX_PATTERN_LENGTH), MAX_CHOICES, minimum=1)(cursor)
    if "" in texts:
        reason = f"Invalid '{cursor.path}': an answer cannot be an empty string."
        raise InvalidValue(cursor.path, reason, code="empty_string")
    return ChoiceFormat(texts, cursor.path)


def read_structured_outputs(cursor: Cursor) -> ResponseFormat | None:
    """Exactly one of `json`, `regex`, `choice`, `grammar` and `json_object`; None where all are null."""
    read_object(cursor)
    if not cursor.field("structural_tag").absent:
        raise UnsupportedParameter(f"{cursor.path}.structural_tag", "Use 'grammar' instead.")
    found = [(field, read) for name, read in _KINDS if not (field := cursor.field(name)).absent]
    if len(found) > 1:
        reason = f"Invalid '{cursor.path}': only one kind of structure can be asked for."
        raise InvalidValue(cursor.path, reason)
    return found[0][1](found[0][0]) if found else None


def _read_any_object(cursor: Cursor) -> JsonObjectFormat | None:
    return JsonObjectFormat() if read_bool(cursor) else None


_KINDS: Final[tuple[tuple[str, Callable[[Cursor], ResponseFormat | None]], ...]] = (
    ("json", read_guided_json),
    ("regex", read_guided_regex),
    ("choice", read_guided_choice),
    ("grammar", read_guided_grammar),
    ("json_object", _read_any_object),
)
