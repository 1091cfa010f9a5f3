"""A schema as a document: which dialect it is written in, put into the newest, and where references lead.

Draft 4 to 2019-09 say a few things in other words: `items` as a list, booleans for excluded bounds,
`definitions`. They are read as draft 2020-12 says them. References are JSON pointers within the
document; nothing is ever fetched.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from antiphon.text.schema.refusal import SchemaUnheld

_DIALECTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "http://json-schema.org/draft-04/schema": 4,
        "http://json-schema.org/draft-06/schema": 6,
        "http://json-schema.org/draft-07/schema": 7,
        "https://json-schema.org/draft/2019-09/schema": 2019,
        "https://json-schema.org/draft/2020-12/schema": 2020,
    }
)
_LITERAL: Final = frozenset({"enum", "const", "default", "examples"})
"""Keywords that hold values, not schemas."""
_MAX_HOPS: Final = 64
_ESCAPED: Final = re.compile("(?:%[0-9A-Fa-f]{2})+")


class Document:
    """One whole schema in draft 2020-12's words."""

    def __init__(self, schema: Mapping[str, object]) -> None:
        """Read a caller's schema.

        Raises:
            SchemaUnheld: it names a dialect that is not known.
        """
        named = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
        draft = _DIALECTS.get(str(named).rstrip("#"))
        if draft is None:
            raise SchemaUnheld("'$schema' names a dialect that is not known.")
        plain = {key: value for key, value in schema.items() if key not in ("$schema", "$id", "id")}
        self.root: dict[str, object] = plain if draft == 2020 else _modern(plain, draft)

    def resolve(self, reference: object, context: tuple[str, ...] = ()) -> object:
        """The schema that a reference leads to.

        Raises:
            SchemaUnheld: it leads nowhere in this document.
        """
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaUnheld(
                "'$ref' must lead into the schema itself, by a path that begins with '#'.", context
            )
        target: object = self.root
        for key in reference.split("/")[1:]:
            key = _unquoted(key).replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isdigit() and int(key) < len(target):
                target = target[int(key)]
            else:
                raise SchemaUnheld(f"'$ref' leads nowhere: {reference[:80]!r}.", context)
        return target

    def followed(self, schema: object) -> object:
        """The schema itself, or what it refers to where it is nothing but a reference."""
        for _ in range(_MAX_HOPS):
            if not (
                isinstance(schema, dict)
                and schema.keys() <= {"$ref", "title", "description"}
                and "$ref" in schema
            ):
                return schema
            schema = self.resolve(schema["$ref"])
        raise SchemaUnheld("'$ref' leads back to itself.")


def _unquoted(key: str) -> str:
    """A key of a URI's fragment, in which a percent sign and two digits stand for a byte."""
    return _ESCAPED.sub(
        lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace"), key
    )


def _modern(schema: dict[str, object], draft: int) -> dict[str, object]:
    return {
        key: value if key in _LITERAL else _modern_value(value, draft)
        for key, value in _modern_keywords(schema, draft).items()
    }


def _modern_value(value: object, draft: int) -> object:
    if isinstance(value, dict):
        return _modern(value, draft)
    if isinstance(value, list):
        return [_modern_value(item, draft) for item in value]
    return value


def _modern_keywords(schema: dict[str, object], draft: int) -> dict[str, object]:
    if draft < 2019 and isinstance(schema.get("$ref"), str):
        # In these drafts its siblings say nothing.
        return {key: value for key, value in schema.items() if key in ("$ref", "definitions", "$defs")}
    result = dict(schema)
    if isinstance(result.get("items"), list):
        result["prefixItems"] = result.pop("items")
        if "additionalItems" in result:
            result["items"] = result.pop("additionalItems")
    if draft == 4:
        for excluded, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            flag = result.get(excluded)
            if isinstance(flag, bool):
                del result[excluded]
                if flag and bound in result:
                    result[excluded] = result.pop(bound)
    return result
