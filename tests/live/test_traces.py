"""Traces of a server process, as a collector receives them: one request, through both processes."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.free_port import free_port
from tests.live.server_process import ServerProcess, running
from tests.otlp_collector import Collector, ReceivedSpan, collecting

pytestmark = pytest.mark.live

ROUTE = "POST /v1/chat/completions"
PHASES = ("queue", "prefill", "decode")
MARK = "xylophonist"
"""A word that stands in every prompt here."""
SPOKEN = re.compile(r'"content": ?"[^"]')
"""In a chunk that has text."""


@dataclass(frozen=True)
class Traced:
    """A server, and the collector that it sends its traces to."""

    server: ServerProcess
    collector: Collector

    def ask(self, path: str = "/chat/completions", sampled: str = "01", **fields: object) -> "Asked":
        """Send a request that is part of a trace of the client's own."""
        trace, span = secrets.token_hex(16), secrets.token_hex(8)
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Hail, {MARK}!"}]} | fields
        headers = {"traceparent": f"00-{trace}-{span}-{sampled}"}
        answer = httpx.post(self.server.base_url + path, json=body, headers=headers, timeout=60)
        return Asked(trace, span, answer)


@dataclass(frozen=True)
class Asked:
    """A request's trace, the client's span in it, and the answer."""

    trace: str
    span: str
    answer: httpx.Response


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """The real model, traced."""
    folder = tmp_path_factory.mktemp("traced")
    with (
        collecting() as collector,
        running(folder, "--otlp-endpoint", collector.url, OTEL_BSP_SCHEDULE_DELAY="50") as server,
    ):
        yield Traced(server, collector)


def named(spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    """The only span of this name."""
    (span,) = (span for span in spans if span.name == name)
    return span


def completion(spans: list[ReceivedSpan]) -> ReceivedSpan:
    """The span of the completion."""
    (span,) = (span for span in spans if "gen_ai.operation.name" in span.attributes)
    return span


@pytest.mark.model
def test_one_request_is_one_trace_through_both_processes(traced: Traced) -> None:
    """The client's span, the exchange, the completion, and what the engine process did, one in the other."""
    asked = traced.ask(max_completion_tokens=5)
    spans = traced.collector.wait_for(asked.trace, ROUTE, *PHASES)
    exchange, told = named(spans, ROUTE), completion(spans)
    queue, prefill, decode = phases = [named(spans, name) for name in PHASES]

    assert len(spans) == 5
    assert exchange.parent == asked.span
    assert told.parent == exchange.id
    assert {phase.parent for phase in phases} == {told.id}
    assert {(span.service, span.pid) for span in (exchange, told)} == {("antiphon", traced.server.popen.pid)}
    assert {(span.service, span.pid) for span in phases} == {("antiphon-engine", traced.server.engines()[0])}
    assert exchange.start <= told.start <= queue.start
    assert (queue.end, prefill.end) == (prefill.start, decode.start)
    assert decode.start < decode.end <= told.end <= exchange.end


@pytest.mark.model
def test_completion_says_what_the_answer_says(traced: Traced) -> None:
    """In the words of the conventions for generative AI; the exchange in those for HTTP."""
    asked = traced.ask(max_completion_tokens=5, seed=7, temperature=0.5, n=2, ignore_eos=True)
    answer, usage = asked.answer.json(), asked.answer.json()["usage"]
    spans = traced.collector.wait_for(asked.trace, ROUTE, *PHASES)
    told, exchange = completion(spans).attributes, named(spans, ROUTE).attributes
    prefill, decode = named(spans, "prefill").attributes, named(spans, "decode").attributes

    assert answer["id"].endswith(told.pop("gen_ai.response.id"))
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "antiphon",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": completion(spans).name.removeprefix("chat "),
        "gen_ai.output.type": "text",
        "openai.request.service_tier": "default",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": [choice["finish_reason"] for choice in answer["choices"]],
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        "gen_ai.usage.reasoning.output_tokens": 0,
    }
    assert exchange == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "antiphon.request.id": asked.answer.headers["x-request-id"],
    }
    assert prefill["antiphon.prompt_tokens"] == usage["prompt_tokens"]
    assert decode == {"antiphon.phase.end": "finished", "antiphon.generated_tokens": 10}


@pytest.mark.model
def test_stream_that_a_stop_string_ends_is_told_whole(traced: Traced) -> None:
    """The engine was asked for no more; the client got `stop`."""
    asked = traced.ask(stream=True, stop=[" ", "e"], max_completion_tokens=200, ignore_eos=True)
    spans = traced.collector.wait_for(asked.trace, ROUTE, *PHASES)

    assert completion(spans).attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert named(spans, "decode").attributes["antiphon.phase.end"] == "cancelled"
    assert not any(span.failed for span in spans)


@pytest.mark.model
def test_client_that_leaves_is_told_of(traced: Traced) -> None:
    """Its completion is marked, and what the engine did until then is there: it had begun to speak."""
    trace = secrets.token_hex(16)
    body = {"messages": [{"role": "user", "content": MARK}], "model": "gpt-4o-mini", "stream": True}
    body |= {"ignore_eos": True}
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    with httpx.stream(
        "POST", f"{traced.server.base_url}/chat/completions", json=body, headers=headers
    ) as sent:
        next(line for line in sent.iter_lines() if SPOKEN.search(line))
    spans = traced.collector.wait_for(trace, ROUTE, *PHASES)

    assert completion(spans).attributes["antiphon.cancelled"] is True
    assert named(spans, "decode").attributes["antiphon.phase.end"] == "cancelled"


@pytest.mark.model
def test_new_schema_is_compiled_first(traced: Traced) -> None:
    """That phase is told only where there is something to compile."""
    schema = {"type": "object", "properties": {secrets.token_hex(4): {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    asked = traced.ask(response_format=wanted, max_completion_tokens=8)
    spans = traced.collector.wait_for(asked.trace, ROUTE, *PHASES)

    assert named(spans, "compile").end == named(spans, "queue").start
    assert completion(spans).attributes["gen_ai.output.type"] == "json"


@pytest.mark.model
def test_no_word_of_prompt_or_answer_is_sent(traced: Traced) -> None:
    """Nor what a refused request held."""
    asked = traced.ask(max_completion_tokens=30, stop=["§never§"], ignore_eos=True)
    refused = traced.ask(max_completion_tokens=f"{MARK}-too", user=MARK)
    traced.collector.wait_for(asked.trace, ROUTE, *PHASES)
    spans = traced.collector.wait_for(refused.trace, ROUTE)
    sent = b"".join(traced.collector.bodies)

    assert refused.answer.status_code == 400
    assert [(span.attributes["error.type"], span.failed) for span in spans] == [("InvalidType", False)]
    assert MARK.encode() not in sent
    assert b"never" not in sent
    assert asked.answer.json()["choices"][0]["message"]["content"].encode() not in sent


@pytest.mark.model
def test_client_decides_whether_it_is_traced(traced: Traced) -> None:
    """A trace that is not sampled is not continued; spans come in the order in which they ended."""
    unsampled = traced.ask(sampled="00", max_completion_tokens=1)
    httpx.get(f"{traced.server.origin}/health/ready")
    asked = traced.ask(max_completion_tokens=1)
    spans = traced.collector.wait_for(asked.trace, ROUTE, *PHASES)

    assert traced.collector.trace(unsampled.trace) == []
    assert len(spans) == 5


def test_variables_of_opentelemetry_do_the_same(tmp_path: Path) -> None:
    """With the name that they give the service."""
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "mine"}
        variables |= {"OTEL_BSP_SCHEDULE_DELAY": "50"}
        with running(tmp_path, "--engine", "fake", **variables) as server:
            asked = Traced(server, collector).ask()
            spans = collector.wait_for(asked.trace, ROUTE)

    assert [(span.name, span.service) for span in spans] == [(ROUTE, "mine"), ("chat fake", "mine")]


def test_collector_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    """Requests are answered, and the server ends in order."""
    url = f"http://127.0.0.1:{free_port()}"
    with running(tmp_path, "--engine", "fake", "--otlp-endpoint", url) as server:
        asked = Traced(server, Collector(url)).ask()
        server.popen.terminate()
        code = server.popen.wait(30)

    assert asked.answer.status_code == 200
    assert code == 0
