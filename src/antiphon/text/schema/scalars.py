"""Numbers, strings and patterns of a schema, in the keywords that the grammar library holds truly."""

from antiphon.text.schema.formats import ANNOTATIONS, FORMATS, INTEGERS, NATIVE
from antiphon.text.schema.numbers import NoNumber, held_numbers
from antiphon.text.schema.operands import Context, Schema, given, limits
from antiphon.text.schema.patterns import PatternRefused, strict_pattern
from antiphon.text.schema.refusal import SchemaUnheld, unsatisfiable


def number_keywords(schema: Schema, context: Context, *, integer: bool) -> dict[str, object]:
    """What a schema asks of a number.

    Raises:
        SchemaUnheld: no number satisfies it.
    """
    try:
        keywords = held_numbers(schema, integer=integer)
    except NoNumber as none:
        raise unsatisfiable(context, str(none)) from None
    reach = INTEGERS.get(str(schema.get("format")))
    if reach and integer and "enum" not in keywords:
        bounds = dict(schema) | {"exclusiveMinimum": max(reach[0] - 1, -(10**18))}
        if reach[1] < 10**18 and not isinstance(schema.get("maximum"), int | float):
            bounds["maximum"] = reach[1]
        return held_numbers({**bounds, "minimum": schema.get("minimum", reach[0])}, integer=True)
    return keywords


def string_keywords(schema: Schema, context: Context) -> dict[str, object]:
    """What a schema asks of a string.

    Raises:
        SchemaUnheld: a pattern or format that cannot be held, or no string satisfies it.
    """
    low, high = limits(schema, "minLength", "maxLength", context)
    patterns = [held_pattern(schema["pattern"], context)] if "pattern" in schema else []
    result: dict[str, object] = given(minLength=low or None, maxLength=high)
    kind = schema.get("format")
    if isinstance(kind, str) and kind in NATIVE:
        result["format"] = kind
    elif isinstance(kind, str) and kind in FORMATS:
        patterns += FORMATS[kind]
    elif kind is not None and kind not in ANNOTATIONS | INTEGERS.keys():
        raise SchemaUnheld(f"{kind!r} is not a valid format.", context)
    if patterns:
        result["pattern"] = patterns[0]
    if len(patterns) > 1:
        result["allOf"] = [{"type": "string", "pattern": pattern} for pattern in patterns[1:]]
    return result


def held_pattern(value: object, context: Context) -> str:
    """A pattern that matches what this one does in every dialect.

    Raises:
        SchemaUnheld: there is none.
    """
    if not isinstance(value, str):
        raise SchemaUnheld("a pattern must be a string.", context)
    try:
        return strict_pattern(value)
    except PatternRefused as refused:
        raise SchemaUnheld(f"the pattern {value[:80]!r} cannot be held: {refused}.", context) from None
