"""What an answer is held to where it calls nothing, and what it is checked against when it ends.

Invariant: a structure that was returned compiles in the engine.
"""

from dataclasses import dataclass
from typing import Final

from antiphon.core.errors import InvalidValue, SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.core.messages import (
    ChoiceFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    PatternFormat,
    ResponseFormat,
)
from antiphon.core.ports import Engine
from antiphon.service.schemas import HeldSchema, Schemas
from antiphon.service.verification import TEXT, AnswerSchemas
from antiphon.text.response_format import ANY_OBJECT, schema_of, text_constraint
from antiphon.text.tools.syntax import CallSyntax


@dataclass(frozen=True, slots=True)
class Structure:
    """What an answer is held to, and what it is checked against."""

    constraint: Constraint | None = None
    schemas: AnswerSchemas | None = None
    syntax: CallSyntax | None = None
    """How calls are written under it; None: there are none."""


UNHELD: Final = Structure()
"""Any text will do."""


class Structures:
    """Makes structures for one engine."""

    def __init__(self, engine: Engine, *, subset_only: bool = False) -> None:
        """With `subset_only` a strict schema has to be in the subset that OpenAI takes."""
        self._engine = engine
        self.schemas = Schemas(engine, subset_only=subset_only)

    async def of_answer(self, wanted: ResponseFormat | None) -> Structure:
        """What holds an answer that calls nothing, proved to compile.

        Raises:
            SchemaRefused: a strict schema that cannot be held.
            InvalidValue: a pattern that cannot be held.
            EngineUnavailable: the engine is starting or down.
        """
        if wanted is None:
            return Structure(None)
        if isinstance(wanted, PatternFormat | ChoiceFormat):
            constraint, check = text_constraint(wanted)
            try:
                await self._engine.check(constraint)
            except SchemaRefused as refused:
                raise InvalidValue(wanted.label, f"Invalid '{wanted.label}': {refused.reason}") from None
            return Structure(constraint, AnswerSchemas(check) if check else AnswerSchemas(unread=TEXT))
        held = await self._answer_schema(wanted)
        return Structure(held.constraint, AnswerSchemas(held.validator))

    async def _answer_schema(self, wanted: JsonObjectFormat | JsonSchemaFormat) -> HeldSchema:
        name = wanted.name if isinstance(wanted, JsonSchemaFormat) else ""
        strict = isinstance(wanted, JsonSchemaFormat) and wanted.strict
        try:
            return await self.schemas.hold(schema_of(wanted), strict=strict)
        except SchemaRefused as refused:
            if strict or not name:
                raise SchemaRefused(name, refused.reason, refused.context) from None
            return await self.schemas.hold(ANY_OBJECT, strict=False)
