"""What a response format asks of the text, as a constraint for the engine.

The schema's text keeps the caller's property order, because answers follow it. Whether an engine
can hold the schema is for `Engine.check` to find out, not decided here. A format whose schema is empty
asks for any object, as the API says of one without a schema.
"""

import json

from antiphon.core.generation import Constraint
from antiphon.core.messages import ChoiceFormat, JsonObjectFormat, PatternFormat, ResponseFormat

ANY_OBJECT = Constraint("json_schema", '{"type":"object"}')
"""One JSON object of any shape."""


def constraint_of(response_format: ResponseFormat | None) -> Constraint | None:
    """The constraint that enforces a response format; None where any text will do."""
    if response_format is None:
        return None
    if isinstance(response_format, PatternFormat):
        return Constraint(response_format.kind, response_format.text)
    if isinstance(response_format, ChoiceFormat):
        texts = (json.dumps(text, ensure_ascii=False) for text in response_format.texts)
        return Constraint("lark", f"start: {' | '.join(texts)}\n")
    if isinstance(response_format, JsonObjectFormat) or not response_format.schema:
        return ANY_OBJECT
    schema = dict(response_format.schema)
    return Constraint("json_schema", json.dumps(schema, ensure_ascii=False, separators=(",", ":")))
