"""Schemas that are kept ready for the next request, within bounds."""

from typing import Any

import pytest

from antiphon.engine.backends.fake.engine import FakeEngine
from antiphon.service import schemas
from antiphon.service.schemas import Schemas


def schema(number: int) -> dict[str, Any]:
    """One of many of the same length."""
    return {"type": "object", "properties": {f"n{number:04}": {"type": "integer"}}}


async def test_schema_is_prepared_once_while_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used ones make room."""
    held = Schemas(FakeEngine())
    monkeypatch.setattr(schemas, "_MAX_KEPT_CHARS", 200)
    first, second = [await held.prepare(schema(number), strict=True) for number in (1, 2)]

    assert await held.prepare(schema(1), strict=True) is first
    for number in (3, 4):
        await held.prepare(schema(number), strict=True)

    assert await held.prepare(schema(2), strict=True) is not second
