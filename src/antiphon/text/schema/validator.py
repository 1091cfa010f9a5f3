"""Whether a finished answer is valid under a schema, found out by a library that had no part in it.

The grammar library holds answers to schemas; this one, which shares no code with it, has the last
word. Formats are checked, nothing is ever fetched, and patterns are matched in linear time. JSON is
read as the strictest client reads it: no duplicate names, no numbers beyond doubles, nothing behind
the value.

Source: the JSON Schema specification, draft 2020-12 or what `$schema` names, as `jsonschema-rs` has it.
"""

import json
import math
from collections.abc import Mapping
from typing import Final

import jsonschema_rs

_PATTERNS: Final = jsonschema_rs.RegexOptions(size_limit=16 << 20, dfa_size_limit=16 << 20)


class SchemaMalformed(Exception):
    """No schema of its dialect; the text says why, in short."""


class AnswerInvalid(Exception):
    """The text is not valid; the message says which keyword it breaks, and nothing of the text."""


class AnswerValidator:
    """Checks texts against one schema. Safe to use from several threads."""

    def __init__(self, schema: Mapping[str, object]) -> None:
        """Compile it.

        Raises:
            SchemaMalformed: it is none.
        """
        self._validator = validator_of(schema)

    def check(self, text: str) -> None:
        """Pass if the text is one JSON value that is valid.

        Raises:
            AnswerInvalid: it is not.
        """
        error = next(iter(self._validator.iter_errors(strict_json(text))), None)
        if error is not None:
            raise AnswerInvalid(f"the answer breaks '{'/'.join(map(str, error.schema_path))[-200:]}'")


def validator_of(schema: Mapping[str, object]) -> jsonschema_rs.Validator:
    """The library's validator for a schema, in the dialect that it names.

    Raises:
        SchemaMalformed: there is none.
    """
    try:
        return jsonschema_rs.validator_for(
            dict(schema), validate_formats=True, offline=True, pattern_options=_PATTERNS
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaMalformed(_first_line(str(error))) from None


def strict_json(text: str) -> object:
    """The value of a JSON text.

    Raises:
        AnswerInvalid: it is not JSON, or clients may read it otherwise.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_float=_float, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise AnswerInvalid("the answer is not JSON") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise AnswerInvalid("an object of the answer has two properties of one name")
    return result


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise AnswerInvalid("a number of the answer is beyond all doubles")
    return value


def _refuse_constant(name: str) -> object:
    raise AnswerInvalid("the answer is not JSON")


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["it is no JSON Schema"])[0][:200]
