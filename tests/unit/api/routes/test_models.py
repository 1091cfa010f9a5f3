"""The models routes."""

import pytest

from tests.unit.api.live import running

ENTRY = {
    "id": "m",
    "object": "model",
    "created": 1700000000,
    "owned_by": "antiphon",
    "root": "m",
    "parent": None,
    "alias_of": None,
    "max_model_len": 4096,
    "defaults": {},
    "has_system_prompt": False,
}
ALIAS = {**ENTRY, "id": "org/m:1", "alias_of": "m"}


async def test_list_shows_models_and_aliases() -> None:
    """An alias is shown as what it is."""
    async with running() as live:
        response = await live.client.get("/v1/models")
    assert response.json() == {"object": "list", "data": [ENTRY, ALIAS]}


@pytest.mark.parametrize("path", ["org/m:1", "org%2Fm:1", "org%2Fm%3A1", "org%2fm%3a1"])
async def test_id_may_hold_slashes_and_colons(path: str) -> None:
    """Encoded or not, an id is decoded once."""
    async with running() as live:
        response = await live.client.get(f"http://127.0.0.1:{live.port}/v1/models/{path}")
    assert response.json() == ALIAS


@pytest.mark.parametrize("path", ["nobody", "org%252Fm:1", "m/m", "M"])
async def test_unknown_model_is_not_found(path: str) -> None:
    """Ids are exact."""
    async with running() as live:
        response = await live.client.get(f"http://127.0.0.1:{live.port}/v1/models/{path}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


async def test_model_is_not_deleted() -> None:
    """Nothing about models changes through the API."""
    async with running() as live:
        response = await live.client.delete("/v1/models/m")
    assert response.status_code == 405
