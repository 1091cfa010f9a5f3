"""The server's figures over HTTP."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from antiphon.api.app import ApiOptions, create_metrics_app
from antiphon.api.server import served
from antiphon.core.errors import EngineFailed, Overloaded
from antiphon.core.events import Failed, TextDelta
from antiphon.telemetry.metrics import METRICS, Metrics
from tests.unit.api.live import Live, running
from tests.unit.api.scripted import ScriptedCompletions


async def series(live: Live) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Every series that the route tells."""
    body = (await live.client.get("/v1/antiphon/stats")).json()
    assert body["object"] == "antiphon.stats"
    return {name: [(labels, value) for labels, value in samples] for name, samples in body["series"].items()}


async def test_requests_are_counted_by_route_not_by_path() -> None:
    """Paths of clients' own making share one label."""
    async with running() as live:
        for path in ("/v1/models/m", "/v1/models/org/m:1", "/nowhere", "/elsewhere"):
            await live.client.get(path)
        told = await series(live)

    counted = {
        (labels["route"], labels["status"]): value for labels, value in told["antiphon_requests_total"]
    }
    assert counted == {("/v1/models/{model_id:path}", "200"): 2, ("-", "404"): 2}
    assert ({"route": "-", "error": "UrlNotFound"}, 2) in told["antiphon_errors_total"]


async def test_errors_are_counted_before_and_within_streams() -> None:
    """By the name of their class."""
    async with running(ScriptedCompletions(refusal=Overloaded(1))) as live:
        await live.chat()
        refused = await series(live)
    async with running(ScriptedCompletions((TextDelta(0, "a"), Failed(EngineFailed())))) as live:
        await live.chat(stream=True)
        failed = await series(live)

    route = "/v1/chat/completions"
    assert refused["antiphon_errors_total"] == [({"route": route, "error": "Overloaded"}, 1)]
    assert failed["antiphon_errors_total"] == [({"route": route, "error": "EngineFailed"}, 1)]


async def test_figures_ask_for_the_key() -> None:
    """They are for those who may use the server."""
    async with running(options=ApiOptions(api_keys=frozenset({"key"}))) as live:
        refused = await live.client.get("/v1/antiphon/stats")
        given = await live.client.get("/v1/antiphon/stats", headers={"authorization": "Bearer key"})

    assert (refused.status_code, given.status_code) == (401, 200)


async def test_operators_listener_has_the_metrics_and_nothing_else() -> None:
    """In a form that Prometheus' own parser reads; foreign names are refused as everywhere."""
    metrics = Metrics()
    metrics.watch_choices("m", lambda: 0)
    async with served(create_metrics_app(metrics), "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        origin = f"http://127.0.0.1:{port}"
        got = await client.get(f"{origin}/metrics")
        other = await client.get(f"{origin}/v1/models")
        rebound = await client.get(f"{origin}/metrics", headers={"host": "evil.test"})

    families = {family.name for family in text_string_to_metric_families(got.text)}
    assert families == {metric.name.removesuffix("_total") for metric in METRICS}
    assert got.headers["content-type"].startswith("text/plain")
    assert (other.status_code, rebound.status_code) == (404, 403)
