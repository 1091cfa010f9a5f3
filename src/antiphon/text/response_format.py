"""What a response format asks of the text: a schema to be held, or a constraint for the engine.

A format whose schema is empty asks for any object, as the API says of one without a schema.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from antiphon.core.generation import Constraint
from antiphon.core.messages import ChoiceFormat, JsonObjectFormat, JsonSchemaFormat, PatternFormat

ANY_OBJECT: Mapping[str, object] = MappingProxyType({"type": "object"})
"""One JSON object of any shape."""


def schema_of(response_format: JsonObjectFormat | JsonSchemaFormat) -> Mapping[str, object]:
    """The schema that an answer is valid under."""
    if isinstance(response_format, JsonObjectFormat) or not response_format.schema:
        return ANY_OBJECT
    return response_format.schema


def text_constraint(response_format: PatternFormat | ChoiceFormat) -> Constraint:
    """The constraint that holds an answer that is no JSON."""
    if isinstance(response_format, PatternFormat):
        return Constraint(response_format.kind, response_format.text)
    texts = (json.dumps(text, ensure_ascii=False) for text in response_format.texts)
    return Constraint("lark", f"start: {' | '.join(texts)}\n")
