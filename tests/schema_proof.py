"""Schemas under random logits and under the real model: what is written under an accepted one is valid.

Each schema takes the server's own way: the gate, the prober, the compiler and the validator. Then
answers are drawn blindly, by chance alone, which goes where no model would; and one of each by the
default model in the engine's own loop. `python -m tests.schema_proof` runs everything and writes the
figures per keyword to `tests/data/schema_proof.json`, from which `make docs` writes
docs/reference/structured-output.md; tests run a part of it.
"""

import asyncio
import json
import lzma
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, Final

from tokenizers import Tokenizer

from antiphon.core.errors import Overloaded, SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine import frames
from antiphon.engine.constraint import ConstraintBroken, ConstraintCompiler, Matcher
from antiphon.engine.probing import ConstraintProber
from antiphon.models.folder import PreparedModel
from antiphon.models.tokenizer import load_tokenizer
from antiphon.service.schemas import constraint_of
from antiphon.telemetry.optout import block_vendor_telemetry
from antiphon.text.schema.gate import held
from antiphon.text.schema.refusal import SchemaUnheld
from antiphon.text.schema.validator import AnswerInvalid, AnswerValidator, SchemaMalformed
from tests.real_model import default_model

DATA = Path(__file__).parent / "data"
RESULTS = DATA / "schema_proof.json"
MAX_TOKENS = 150
_TRIES = 5
_ANSWERS = 6

KEYWORDS: Final = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "patternProperties"),
    *("propertyNames", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas"),
    *("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains"),
    *("maxContains", "unevaluatedItems", "unevaluatedProperties", "minLength", "maxLength", "pattern"),
    *("format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "anyOf"),
    *("oneOf", "allOf", "not", "if", "$ref", "$dynamicRef", "dependencies", "default"),
)
"""Those that get a row."""


@dataclass(frozen=True)
class Case:
    """A schema and where it comes from."""

    name: str
    schema: Mapping[str, Any]


@dataclass
class Outcome:
    """What became of one schema."""

    refusal: str | None = None
    valid: int = 0
    cut: int = 0
    """Answers that did not end in time."""
    broken: int = 0
    """Answers that met a limit of the grammar engine or a dead end: errors, had a server given them."""
    violated: list[str] = field(default_factory=list)

    def judge(self, text: str | None, validator: AnswerValidator) -> None:
        """Count an answer; None is one that did not end."""
        if text is None:
            self.cut += 1
            return
        try:
            validator.check(text)
        except AnswerInvalid as invalid:
            self.violated.append(f"{text}: {invalid}")
        else:
            self.valid += 1


def suite() -> Iterator[Case]:
    """Every schema of the JSON Schema Test Suite that is an object."""
    for file in sorted((DATA / "json-schema-test-suite").glob("*.json")):
        for group in json.loads(file.read_text(encoding="utf-8")):
            if isinstance(group["schema"], dict):
                yield Case(f"{file.stem}: {group['description']}", group["schema"])


def real_world() -> Iterator[Case]:
    """1,500 schemas that people wrote for something."""
    lines = lzma.decompress((DATA / "jsonschemabench" / "schemas.jsonl.xz").read_bytes()).decode()
    for line in lines.splitlines():
        found = json.loads(line)
        yield Case(found["from"], found["schema"])


class Proof:
    """Draws answers under one tokenizer."""

    def __init__(self, model: PreparedModel) -> None:
        """Prepare for a model's tokenizer; the model itself is not needed."""
        document = (model.folder / "tokenizer.json").read_text(encoding="utf-8")
        vocabulary = Tokenizer.from_str(document).get_vocab_size()
        self.compiler = ConstraintCompiler(document, vocabulary, model.eos_token_ids)
        self._vocabulary = frames.Vocabulary(str(model.folder), vocabulary, model.eos_token_ids)
        self._bytes = load_tokenizer(model.folder).token_bytes
        self._prober = ConstraintProber()

    async def __aenter__(self) -> "Proof":
        await self._prober.start(self._vocabulary)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._prober.aclose()

    async def accept(self, schema: Mapping[str, Any]) -> tuple[Constraint, AnswerValidator]:
        """What a server would hold answers to, and check them with.

        Raises:
            SchemaRefused: it would refuse the schema.
        """
        try:
            validator, constraint = AnswerValidator(schema), constraint_of(held(schema))
        except SchemaMalformed as malformed:
            raise SchemaRefused("", str(malformed)) from None
        except SchemaUnheld as unheld:
            raise SchemaRefused("", unheld.reason) from None
        for _ in range(_TRIES):
            with suppress(Overloaded):
                await self._prober.check(constraint)
                return constraint, validator
        raise SchemaRefused("", "the machine is too busy to try it.")

    async def prove(self, schema: Mapping[str, Any], answers: int) -> Outcome:
        """Take a schema the server's way, and draw answers if it is accepted."""
        try:
            constraint, validator = await self.accept(schema)
        except SchemaRefused as refused:
            return Outcome(refused.reason)
        matcher, chance, outcome = self.compiler.compile(constraint), Random(0), Outcome()
        for _ in range(answers):
            try:
                outcome.judge(self._answer(matcher.copy(), chance), validator)
            except ConstraintBroken:
                outcome.broken += 1
        return outcome

    def _answer(self, matcher: Matcher, chance: Random) -> str | None:
        """One answer; None where it does not end. The longer it gets, the more it wants to end.

        Raises:
            ConstraintBroken: nothing may follow.
        """
        said = bytearray()
        for position in range(MAX_TOKENS):
            allowed = matcher.allowed()
            ending = [token for token in matcher.closing_tokens if token in allowed]
            hurry = chance.random() < 0.15 + 0.8 * position / MAX_TOKENS
            token = ending[0] if ending and hurry else int(chance.choice(allowed))
            if not matcher.may_follow(token):
                continue
            if token in self.compiler.eos_token_ids:
                return said.decode()
            said += self._bytes(token)
            matcher.consume(token)
            if matcher.finished:
                return said.decode()
        return None


def keywords(schema: object) -> set[str]:
    """The keywords used anywhere in a schema."""
    if isinstance(schema, list):
        return set().union(*map(keywords, schema))
    if not isinstance(schema, dict):
        return set()
    found: set[str] = set()
    for key, value in schema.items():
        found.add(key)
        if key in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
            found |= keywords(list(value.values()) if isinstance(value, dict) else value)
        elif key not in ("enum", "const", "default", "examples", "required"):
            found |= keywords(value)
    return found


def count(table: dict[str, Counter[str]], case: Case, outcome: Outcome) -> None:
    """Add what became of a case to the rows of its keywords, and to `all`."""
    for trouble in outcome.violated:
        print(case.name, trouble[:300], file=sys.stderr)
    for row in ("all", *sorted(keywords(case.schema) & set(KEYWORDS))):
        counts = table.setdefault(row, Counter())
        counts["refused" if outcome.refusal else "accepted"] += 1
        counts.update(
            valid=outcome.valid, cut=outcome.cut, broken=outcome.broken, violated=len(outcome.violated)
        )


async def run(proof: Proof, cases: Iterable[Case], answers: int) -> dict[str, Counter[str]]:
    """Figures per keyword, and for `all`, of answers by chance."""
    table: dict[str, Counter[str]] = {}
    for case in cases:
        count(table, case, await proof.prove(case.schema, answers))
    return table


async def _main(model: PreparedModel, answers: int) -> None:
    from tests.model_proof import run_model

    async with Proof(model) as proof:
        found = {
            "answers": answers,
            "model": model.id,
            "versions": {name: version(name) for name in ("llguidance", "jsonschema-rs")},
            "under_the_model": await run_model(proof, model, [*suite(), *real_world()]),
            "suite": await run(proof, suite(), answers),
            "real_world": await run(proof, real_world(), answers),
        }
    RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    block_vendor_telemetry()
    asyncio.run(_main(default_model(), int(sys.argv[1]) if len(sys.argv) > 1 else _ANSWERS))
