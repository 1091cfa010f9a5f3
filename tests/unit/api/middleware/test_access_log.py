"""The access log's line."""

import re

import pytest

from antiphon.api.app import ApiOptions
from tests.unit.api.live import running


async def test_line_holds_route_status_and_id_but_no_content(caplog: pytest.LogCaptureFixture) -> None:
    """Neither path nor key nor message reaches the log, and the model as the server calls it."""
    options = ApiOptions(api_keys=frozenset({"sk-secret"}))
    caplog.set_level("INFO", "antiphon")
    async with running(options=options) as live:
        live.client.headers["authorization"] = "Bearer sk-secret"
        response = await live.chat(user="someone", model="org/m:1")
    line = next(record.getMessage() for record in caplog.records if record.name == "antiphon.access")
    assert re.fullmatch(
        r"method=POST route=/v1/chat/completions model=m status=200 ms=\d+ request="
        + response.headers["x-request-id"],
        line,
    )


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models/no%0D%0Asuch", "-"),
        ("/v1/models/a/b", "/v1/models/{model_id:path}"),
        ("/secret-path", "-"),
    ],
)
async def test_line_names_the_route_not_the_path(
    path: str, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a client puts into a path stays out of the log."""
    caplog.set_level("INFO", "antiphon")
    async with running() as live:
        await live.client.get(path)
    line = next(record.getMessage() for record in caplog.records if record.name == "antiphon.access")
    assert line.startswith(f"method=GET route={route} model=- status=404 ")


@pytest.mark.parametrize("path", ["/v1/antiphon/stats", "/health/live"])
async def test_what_is_asked_every_second_is_not_told_at_info(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless it fails."""
    caplog.set_level("DEBUG", "antiphon")
    async with running(options=ApiOptions(api_keys=frozenset({"sk-secret"}))) as live:
        refused = await live.client.get("/v1/antiphon/stats")
        live.client.headers["authorization"] = "Bearer sk-secret"
        answered = await live.client.get(path)
    levels = [record.levelname for record in caplog.records if record.name == "antiphon.access"]

    assert [refused.status_code, answered.status_code] == [401, 200]
    assert levels == ["INFO", "DEBUG"]
