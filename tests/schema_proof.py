"""Schemas under random logits: whatever is drawn under the mask of an accepted schema must be valid.

Each schema takes the server's own way: the gate, the prober, the compiler and the validator. Then
answers are drawn blindly, by chance alone, which goes where no model would. `python -m
tests.schema_proof` runs everything under the default model's tokenizer and prints the figures per
keyword; tests run a part of it.
"""

import asyncio
import json
import lzma
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tokenizers import Tokenizer

from antiphon.core.errors import Overloaded, SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine import frames
from antiphon.engine.constraint import ConstraintBroken, ConstraintCompiler, Matcher
from antiphon.engine.probing import ConstraintProber
from antiphon.models.folder import PreparedModel
from antiphon.models.tokenizer import load_tokenizer
from antiphon.service.schemas import constraint_of
from antiphon.text.schema.gate import held
from antiphon.text.schema.refusal import SchemaUnheld
from antiphon.text.schema.validator import AnswerInvalid, AnswerValidator, SchemaMalformed
from tests.real_model import default_model

DATA = Path(__file__).parent / "data"
MAX_TOKENS = 150
_TRIES = 5


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
        self._compiler = ConstraintCompiler(document, vocabulary, model.eos_token_ids)
        self._vocabulary = frames.Vocabulary(str(model.folder), vocabulary, model.eos_token_ids)
        self._bytes = load_tokenizer(model.folder).token_bytes
        self._prober = ConstraintProber()

    async def __aenter__(self) -> "Proof":
        await self._prober.start(self._vocabulary)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._prober.aclose()

    async def prove(self, schema: Mapping[str, Any], answers: int) -> Outcome:
        """Take a schema the server's way, and draw answers if it is accepted."""
        try:
            validator = AnswerValidator(schema)
            constraint = constraint_of(held(schema))
            await self._check(constraint)
        except (SchemaMalformed, SchemaUnheld, SchemaRefused) as refused:
            return Outcome(str(getattr(refused, "reason", refused)))
        matcher, chance, outcome = self._compiler.compile(constraint), Random(0), Outcome()
        for _ in range(answers):
            try:
                text = self._answer(matcher.copy(), chance)
            except ConstraintBroken:
                outcome.broken += 1
            else:
                self._judge(text, validator, outcome)
        return outcome

    async def _check(self, constraint: Constraint) -> None:
        """Have it tried, however busy the machine is."""
        for _ in range(_TRIES):
            with suppress(Overloaded):
                return await self._prober.check(constraint)
        raise SchemaRefused("", "the machine is too busy to try it.")

    def _answer(self, matcher: Matcher, chance: Random) -> str | None:
        """One answer; None where it does not end. The longer it gets, the more it wants to end.

        Raises:
            ConstraintBroken: nothing may follow.
        """
        said = bytearray()
        for position in range(MAX_TOKENS):
            allowed = matcher.allowed()
            ending = [token for token in self._compiler.closing_tokens if token in allowed]
            hurry = chance.random() < 0.15 + 0.8 * position / MAX_TOKENS
            token = ending[0] if ending and hurry else int(chance.choice(allowed))
            if not matcher.may_follow(token):
                continue
            if token in self._compiler.eos_token_ids:
                return said.decode()
            said += self._bytes(token)
            matcher.consume(token)
            if matcher.finished:
                return said.decode()
        return None

    def _judge(self, text: str | None, validator: AnswerValidator, outcome: Outcome) -> None:
        if text is None:
            outcome.cut += 1
            return
        try:
            validator.check(text)
        except AnswerInvalid as invalid:
            outcome.violated.append(f"{text}: {invalid}")
        else:
            outcome.valid += 1


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


async def run(proof: Proof, cases: Iterable[Case], answers: int) -> dict[str, Counter[str]]:
    """Figures per keyword, and for `all`."""
    table: dict[str, Counter[str]] = {}
    for case in cases:
        outcome = await proof.prove(case.schema, answers)
        for trouble in outcome.violated:
            print(case.name, trouble[:300], file=sys.stderr)
        for row in {"all", *keywords(case.schema)}:
            counts = table.setdefault(row, Counter())
            counts["refused" if outcome.refusal else "accepted"] += 1
            counts.update(
                valid=outcome.valid, cut=outcome.cut, broken=outcome.broken, violated=len(outcome.violated)
            )
    return table


async def _main(model: PreparedModel, answers: int) -> None:
    async with Proof(model) as proof:
        figures = {
            "suite": await run(proof, suite(), answers),
            "real_world": await run(proof, real_world(), answers),
        }
    print(json.dumps({"answers": answers, **figures}, indent=1, sort_keys=True))


if __name__ == "__main__":
    asyncio.run(_main(default_model(), int(sys.argv[1]) if len(sys.argv) > 1 else 10))
