"""What a response format asks of the text: a schema to be held, or a constraint for the engine and a check.

A format whose schema is empty asks for any object, as the API says of one without a schema.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from antiphon.core.generation import Constraint
from antiphon.core.messages import ChoiceFormat, JsonObjectFormat, JsonSchemaFormat, PatternFormat
from antiphon.text.full_match import FullMatch, OneOf, full_match

ANY_OBJECT: Mapping[str, object] = MappingProxyType({"type": "object"})
"""One JSON object of any shape."""


def schema_of(response_format: JsonObjectFormat | JsonSchemaFormat) -> Mapping[str, object]:
    """The schema that an answer is valid under."""
    if isinstance(response_format, JsonObjectFormat) or not response_format.schema:
        return ANY_OBJECT
    return response_format.schema


def text_constraint(
    response_format: PatternFormat | ChoiceFormat,
) -> tuple[Constraint, FullMatch | OneOf | None]:
    """What holds an answer that is no JSON, and what checks it when it is finished.

    Nothing checks one under a Lark grammar: the grammar library's dialect is nobody else's.
    """
    if isinstance(response_format, PatternFormat) and response_format.kind == "regex":
        pattern, check = full_match(response_format.text)
        return Constraint("regex", pattern), check
    if isinstance(response_format, PatternFormat):
        return Constraint("lark", response_format.text), None
    texts = (json.dumps(text, ensure_ascii=False) for text in response_format.texts)
    return Constraint("lark", f"start: {' | '.join(texts)}\n"), OneOf(frozenset(response_format.texts))
