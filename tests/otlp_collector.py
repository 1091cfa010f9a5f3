"""A collector of traces on loopback: takes OTLP over HTTP as real ones do, and keeps what came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

_WAIT_S = 30.0


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the wire, with what its resource says of its process."""

    name: str
    trace: str
    id: str
    parent: str
    """Empty: it has none."""
    start: int
    end: int
    attributes: dict[str, object]
    service: object
    pid: object
    failed: bool


class Collector:
    """What has been received so far. `url` is its OTLP address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []
        self._spans: list[ReceivedSpan] = []
        self._changed = threading.Condition()

    def take(self, body: bytes) -> None:
        """A request of an exporter has come."""
        with self._changed:
            self.bodies.append(body)
            self._spans += _spans(ExportTraceServiceRequest.FromString(body))
            self._changed.notify_all()

    def trace(self, trace: str) -> list[ReceivedSpan]:
        """What came of a trace, by start."""
        with self._changed:
            return sorted((span for span in self._spans if span.trace == trace), key=lambda span: span.start)

    def wait_for(self, trace: str, *names: str) -> list[ReceivedSpan]:
        """The trace, once spans of these names have come."""
        with self._changed:
            seen = self._changed.wait_for(lambda: {s.name for s in self.trace(trace)} >= set(names), _WAIT_S)
        assert seen, [span.name for span in self.trace(trace)]
        return self.trace(trace)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            body = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()


def _spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for group in request.resource_spans:
        resource = {pair.key: _value(pair.value) for pair in group.resource.attributes}
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield ReceivedSpan(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                {pair.key: _value(pair.value) for pair in span.attributes},
                resource["service.name"],
                resource["process.pid"],
                span.status.code == Status.STATUS_CODE_ERROR,
            )


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind or "string_value")
