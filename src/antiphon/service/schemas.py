"""Schemas of a request, made ready to be held and checked: what to compile, and who has the last word.

A schema goes through the rules of `text.schema`, through the engine's trial, and through the compiler of
the validator; one that fails anywhere is refused as a whole. What was found is kept, the newest, within
a bound of size.

Invariant: a schema that `hold` returned compiles in the engine, and its validator checks the caller's own
words, not what was compiled.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from antiphon.core.errors import SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.core.ports import Engine
from antiphon.text.schema.gate import held
from antiphon.text.schema.parity import check_subset
from antiphon.text.schema.refusal import SchemaUnheld
from antiphon.text.schema.validator import AnswerValidator, SchemaMalformed
from antiphon.text.schema.watching import needs_watching

_INLINE_CHARS: Final = 4096
"""Schemas up to this long are read on the event loop, longer ones in a thread."""
_MAX_KEPT_CHARS: Final = 1 << 20
"""Of schemas that are kept ready; what is compiled of them takes 27 bytes a character (measured)."""
_MAX_CHARS: Final = 256 << 10


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldSchema:
    """A schema that answers can be held to."""

    schema: Mapping[str, object]
    """What is compiled; it may allow less than the caller's."""
    constraint: Constraint
    """The same as text."""
    validator: AnswerValidator
    """Of the caller's schema."""


class Schemas:
    """Holds schemas for one engine."""

    def __init__(self, engine: Engine, *, subset_only: bool = False) -> None:
        """With `subset_only` a strict schema has to be in the subset that OpenAI takes."""
        self._engine = engine
        self._subset_only = subset_only
        self._kept: OrderedDict[str, HeldSchema] = OrderedDict()
        self._kept_chars = 0

    async def hold(self, schema: Mapping[str, object], *, strict: bool) -> HeldSchema:
        """The schema ready to be held, proved to compile.

        Raises:
            SchemaRefused: it cannot be held, with an empty `name`.
            Overloaded: too many are being tried.
            EngineUnavailable: the engine is starting or down.
        """
        ready = await self.prepare(schema, strict=strict)
        await self._engine.check(ready.constraint)
        return ready

    async def prepare(self, schema: Mapping[str, object], *, strict: bool) -> HeldSchema:
        """The same, without asking the engine.

        Raises:
            SchemaRefused: it cannot be held, with an empty `name`.
        """
        schema = dict(schema)
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        if len(text) > _MAX_CHARS:
            raise SchemaRefused("", f"it is longer than {_MAX_CHARS} characters.", None)
        if strict:
            self.check_subset(schema)
        ready = self._kept.get(text)
        if ready is None:
            try:
                ready = await _run(len(text), _prepare, schema)
            except SchemaUnheld as unheld:
                raise _refused(unheld) from None
        self._keep(text, ready)
        return ready

    def check_subset(self, schema: Mapping[str, object]) -> None:
        """Pass unless only OpenAI's subset is wanted, and the schema is beyond it.

        Raises:
            SchemaRefused: it is.
        """
        if not self._subset_only:
            return
        try:
            check_subset(schema)
        except SchemaUnheld as unheld:
            raise _refused(unheld) from None

    def _keep(self, text: str, ready: HeldSchema) -> None:
        if text not in self._kept:
            self._kept_chars += len(text)
        self._kept[text] = ready
        self._kept.move_to_end(text)
        while self._kept_chars > _MAX_KEPT_CHARS:
            self._kept_chars -= len(self._kept.popitem(last=False)[0])


async def _run(size: int, work: Callable[[Mapping[str, object]], T], schema: Mapping[str, object]) -> T:
    return work(schema) if size <= _INLINE_CHARS else await asyncio.to_thread(work, schema)


def _refused(unheld: SchemaUnheld) -> SchemaRefused:
    return SchemaRefused("", unheld.reason, None if unheld.whole else unheld.context)


def _prepare(schema: Mapping[str, object]) -> HeldSchema:
    """Apply the rules and compile the validator.

    Raises:
        SchemaUnheld: one of them refuses.
    """
    rewritten = held(schema)
    try:
        validator = AnswerValidator(schema)
    except SchemaMalformed as malformed:
        raise SchemaUnheld(f"{malformed}.") from None
    return HeldSchema(rewritten, constraint_of(rewritten), validator)


def constraint_of(schema: Mapping[str, object]) -> Constraint:
    """What to compile for a held schema."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return Constraint("json_schema", text, ("",) if needs_watching(schema) else ())
