"""Traces by OpenTelemetry's SDK, sent as OTLP over HTTP. The SDK is an extra: imported where traces are on.

The engine process has no SDK and no socket of its own: it says what it did when, and its spans are made
here, under a resource of its own. Names of attributes are those of OpenTelemetry's semantic conventions
(HTTP, GenAI, resources), else they begin with `antiphon.`. What is not said here (sampling, headers,
batching, the name of the service) the SDK takes from its own `OTEL_*` variables.

Invariant: exceptions are never recorded in spans: their texts may quote a conversation.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from antiphon.core.events import Completed, Failed, FinishReason
from antiphon.core.generation import EnginePhase
from antiphon.core.messages import AnswerOptions, JsonObjectFormat, JsonSchemaFormat
from antiphon.telemetry.traces import Answered, Asked, CompletionSpan

_CLOSE_S: Final = 3.0
_SERVER_ERROR: Final = 500
_UNNAMED: Final = "unknown_service"
"""What the SDK calls a service that nobody named."""
_JSON: Final = (JsonObjectFormat, JsonSchemaFormat)
_W3C: Final = TraceContextTextMapPropagator()


def exporter_to(endpoint: str) -> SpanExporter:
    """Sends to an OTLP address, `http://HOST:4318`; an empty one: where `OTEL_*` variables say."""
    path = "/v1/traces"
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/').removesuffix(path)}{path}" if endpoint else None)


class OtelTraces:
    """Implements `telemetry.traces.Traces`."""

    on = True

    def __init__(self, exporter: SpanExporter) -> None:
        """Send to `exporter`, in batches, from a thread of its own."""
        self._exporter = exporter
        self._processor = BatchSpanProcessor(exporter)
        self._tracer = self._tracer_of("", os.getpid())
        self._engine: tuple[int, Tracer] | None = None
        """The engine process heard of last, and what makes its spans."""

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator["OtelRequestSpan"]:
        """See `Traces.request`."""
        with self._tracer.start_as_current_span(
            method,
            _W3C.extract(headers),
            SpanKind.SERVER,
            {"http.request.method": method},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield OtelRequestSpan(span)

    def completion(self, asked: Asked) -> CompletionSpan:
        """See `Traces.completion`."""
        span = self._tracer.start_span(
            f"{asked.operation} {asked.served_model}",
            attributes=_asked(asked),
            start_time=time.time_ns() - int(asked.waited_s * 1e9),
            record_exception=False,
            set_status_on_exception=False,
        )
        return OtelCompletionSpan(span)

    def engine_phases(self, phases: Sequence[EnginePhase]) -> None:
        """See `Traces.engine_phases`."""
        for phase in phases:
            parent = _W3C.extract({"traceparent": phase.traceparent})
            tracer = self._engine_tracer(phase.pid)
            span = tracer.start_span(
                phase.name, parent, attributes=_counted(phase), start_time=phase.began_ns
            )
            if phase.end == "failed":
                span.set_status(StatusCode.ERROR)
            span.end(phase.ended_ns)

    def close(self) -> None:
        """See `Traces.close`; a collector that does not answer is not waited for."""
        closing = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        if closing.is_alive():
            self._exporter.shutdown()

    def _engine_tracer(self, pid: int) -> Tracer:
        if self._engine is None or self._engine[0] != pid:
            self._engine = pid, self._tracer_of("-engine", pid)
        return self._engine[1]

    def _tracer_of(self, suffix: str, pid: int) -> Tracer:
        """What makes the spans of a process; all go the same way."""
        named = str(Resource.create().attributes[SERVICE_NAME])
        service = ("antiphon" if named.startswith(_UNNAMED) else named) + suffix
        resource = Resource.create(
            {SERVICE_NAME: service, SERVICE_VERSION: version("antiphon"), "process.pid": pid}
        )
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        return provider.get_tracer("antiphon", version("antiphon"))


class OtelRequestSpan:
    """Implements `RequestSpan`."""

    def __init__(self, span: Span) -> None:
        """End it elsewhere."""
        self._span = span

    def answered(self, answered: Answered) -> None:
        """See `RequestSpan.answered`."""
        span, status = self._span, answered.status
        span.set_attribute("antiphon.request.id", answered.request_id)
        if answered.route != "-":
            span.update_name(f"{answered.method} {answered.route}")
            span.set_attribute("http.route", answered.route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if answered.error:
            span.set_attribute("error.type", answered.error)
        # An error behind a status of success broke off a stream.
        if status >= _SERVER_ERROR or (answered.error and status < 400):
            span.set_status(StatusCode.ERROR)


class OtelCompletionSpan:
    """Implements `CompletionSpan`."""

    def __init__(self, span: Span) -> None:
        """End it here."""
        self._span = span
        self._open = True
        carrier: dict[str, str] = {}
        if span.is_recording():
            _W3C.inject(carrier, set_span_in_context(span))
        self.traceparent = carrier.get("traceparent", "")

    def end(self, ending: Completed | Failed, id: str, reasons: Sequence[FinishReason]) -> None:
        """See `CompletionSpan.end`."""
        self._span.set_attribute("gen_ai.response.id", id)
        if reasons:
            self._span.set_attribute("gen_ai.response.finish_reasons", list(reasons))
        if isinstance(ending, Completed):
            self._span.set_attributes(_used(ending))
        else:
            self._span.set_attribute("error.type", type(ending.error).__name__)
            self._span.set_status(StatusCode.ERROR)
        self._finish()

    def close(self) -> None:
        """See `CompletionSpan.close`."""
        if self._open:
            self._span.set_attribute("antiphon.cancelled", True)
            self._finish()

    def _finish(self) -> None:
        if self._open:
            self._open = False
            self._span.end()


def _asked(asked: Asked) -> dict[str, AttributeValue]:
    options = asked.options
    told: dict[str, AttributeValue] = {
        "gen_ai.operation.name": asked.operation,
        "gen_ai.provider.name": "antiphon",
        "gen_ai.request.model": asked.requested_model,
        "gen_ai.response.model": asked.served_model,
        "gen_ai.output.type": "json" if isinstance(options.response_format, _JSON) else "text",
        "openai.request.service_tier": options.tier,
        "gen_ai.request.temperature": options.sampling.temperature,
        "gen_ai.request.top_p": options.sampling.top_p,
    }
    return told | {name: value for name, value in _optional(options) if value is not None}


def _optional(options: AnswerOptions) -> Iterator[tuple[str, AttributeValue | None]]:
    """What is said only where it was asked for."""
    sampling = options.sampling
    yield "gen_ai.request.choice.count", options.choices if options.choices != 1 else None
    yield "gen_ai.request.max_tokens", options.max_tokens
    yield "gen_ai.request.seed", sampling.seed
    yield "gen_ai.request.top_k", sampling.top_k or None
    yield "gen_ai.request.frequency_penalty", sampling.frequency_penalty or None
    yield "gen_ai.request.presence_penalty", sampling.presence_penalty or None


def _used(ending: Completed) -> dict[str, AttributeValue]:
    usage = ending.usage
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }


def _counted(phase: EnginePhase) -> dict[str, AttributeValue]:
    """Under names of our own: who adds up the conventions' usage over a trace would count twice."""
    told: dict[str, AttributeValue] = {"antiphon.phase.end": phase.end}
    if phase.name == "prefill":
        told["antiphon.prompt_tokens"] = phase.tokens
        told["antiphon.cached_tokens"] = phase.cached_tokens
    elif phase.name == "decode":
        told["antiphon.generated_tokens"] = phase.tokens
    return told
