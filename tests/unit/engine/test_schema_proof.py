"""A part of the proof of structured output: blind answers under the real tokenizer are valid."""

from itertools import islice

import pytest

from antiphon.core.generation import Constraint
from antiphon.engine import frames, prober
from antiphon.models.folder import PreparedModel
from tests.schema_proof import Proof, keywords, real_world, run, suite

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


async def test_suite_is_refused_or_held(prepared_model: PreparedModel) -> None:
    """Every schema of the JSON Schema Test Suite for the keywords in scope."""
    async with Proof(prepared_model) as proof:
        counts = (await run(proof, suite(), answers=2))["all"]

    assert counts["violated"] == 0
    assert counts["accepted"] > 150
    assert counts["valid"] > 300


async def test_sample_of_the_real_world_is_refused_or_held(prepared_model: PreparedModel) -> None:
    """Every fiftieth schema; the whole is run by `python -m tests.schema_proof`."""
    async with Proof(prepared_model) as proof:
        counts = (await run(proof, islice(real_world(), 0, None, 50), answers=3))["all"]

    assert counts["violated"] == 0
    assert counts["accepted"] > 15
    assert counts["valid"] > 20


async def test_pattern_that_soon_meets_a_limit_is_refused(prepared_model: PreparedModel) -> None:
    """Where it may end at once a short walk would not find out."""
    async with Proof(prepared_model) as proof:
        why = prober.probe(
            proof.compiler, frames.Check(0, Constraint("regex", "((a{1,1000}){1,1000}){1,1000}"))
        )

    assert why == prober.DEAD_END


def test_keywords_are_those_of_schemas_not_of_values() -> None:
    """Names of properties and listed values are no keywords."""
    schema = {"properties": {"pattern": {"enum": [{"not": 1}]}}, "anyOf": [{"type": "null"}]}

    assert keywords(schema) == {"properties", "enum", "anyOf", "type"}
