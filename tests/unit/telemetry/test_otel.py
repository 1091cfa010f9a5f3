"""Traces by OpenTelemetry's SDK: what reaches an exporter."""

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from antiphon.core.errors import EngineFailed
from antiphon.core.events import Failed
from antiphon.core.messages import AnswerOptions
from antiphon.telemetry.otel import OtelTraces
from antiphon.telemetry.traces import Answered, Asked


def test_what_is_left_is_sent_at_the_end() -> None:
    """However long the pause between batches; a completion that failed is told as an error."""
    exporter = InMemorySpanExporter()
    traces = OtelTraces(exporter)
    with traces.request("POST", {}) as exchange:
        span = traces.completion(Asked("chat", "alias", "model", AnswerOptions()))
        span.end(Failed(EngineFailed()), "1", ())
        span.close()
        exchange.answered(Answered("req_1", "POST", "/v1/chat/completions", 200, "EngineFailed"))
    traces.close()
    told = exporter.get_finished_spans()

    assert [span.name for span in told] == ["chat model", "POST /v1/chat/completions"]
    assert {span.status.status_code for span in told} == {StatusCode.ERROR}
    assert all(not span.events for span in told)


def test_header_that_names_no_trace_is_no_parent() -> None:
    """Then the exchange begins a trace of its own."""
    exporter = InMemorySpanExporter()
    traces = OtelTraces(exporter)
    with traces.request("GET", {"traceparent": "00-zzz"}):
        pass
    traces.close()

    (span,) = exporter.get_finished_spans()
    assert span.parent is None
