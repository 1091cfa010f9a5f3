"""What the server counts and times. Each metric is declared once, in the tables here.

A `Metrics` object belongs to one server. Parts report to its methods and know no library; operators
read it as Prometheus text (`exposition`), the dashboard as plain samples (`samples`). Labels take few
values, all of them this server's own words: nothing that a client chose becomes one.

Invariant: reporting never fails, never waits, and costs microseconds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from antiphon.core.generation import EngineStats

Outcome = Literal["finished", "cancelled", "failed"]

_MODEL = ("model",)

Sample = tuple[dict[str, str], float]
"""Labels and value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Times are in seconds; the name of a counter ends in `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram."""


_FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80)
_TOKEN_S = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4, 0.8, 1.6, 3.2)
_REQUEST_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)

REQUESTS: Final = Metric(
    "antiphon_requests_total", "counter", "Answered requests", ("method", "route", "status")
)
REQUEST_S: Final = Metric(
    "antiphon_request_duration_seconds",
    "histogram",
    "From a request's headers to the end of its answer",
    ("route",),
    _REQUEST_S,
)
ERRORS: Final = Metric(
    "antiphon_errors_total", "counter", "Errors told to clients, within streams too", ("route", "error")
)
FIRST_TOKEN_S: Final = Metric(
    "antiphon_time_to_first_token_seconds",
    "histogram",
    "From a conversation's admission to its first token, the queue and loading the model included",
    _MODEL,
    _FIRST_TOKEN_S,
)
TOKEN_S: Final = Metric(
    "antiphon_inter_token_latency_seconds",
    "histogram",
    "Between the tokens of a choice",
    _MODEL,
    _TOKEN_S,
)
PROMPT_TOKENS: Final = Metric("antiphon_prompt_tokens_total", "counter", "Prompt tokens accepted", _MODEL)
CACHED_TOKENS: Final = Metric(
    "antiphon_cached_prompt_tokens_total", "counter", "Prompt tokens that came from the prefix cache", _MODEL
)
COMPLETION_TOKENS: Final = Metric("antiphon_completion_tokens_total", "counter", "Tokens generated", _MODEL)
COMPLETIONS: Final = Metric(
    "antiphon_completions_total",
    "counter",
    "Completions by how they ended: finished, cancelled or failed",
    ("model", "outcome"),
)
VIOLATIONS: Final = Metric(
    "antiphon_schema_violations_total",
    "counter",
    "Answers that broke their schema, found before their end was told; a fault of this server each",
    _MODEL,
)
UNCHECKED: Final = Metric(
    "antiphon_unchecked_answers_total",
    "counter",
    "Finished answers that a grammar held and no second library read: under Lark, or cut by a stop string",
    _MODEL,
)
CHOICES: Final = Metric("antiphon_choices_in_hand", "gauge", "Choices that are running or queued", _MODEL)
LAG_S: Final = Metric(
    "antiphon_event_loop_lag_seconds", "histogram", "How late the event loop wakes", (), _LAG_S
)

COUNTED: Final = (
    REQUESTS,
    REQUEST_S,
    ERRORS,
    FIRST_TOKEN_S,
    TOKEN_S,
    PROMPT_TOKENS,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    COMPLETIONS,
    VIOLATIONS,
    UNCHECKED,
    CHOICES,
    LAG_S,
)
"""Counted in the API process."""

ENGINE: Final[tuple[tuple[Metric, Callable[[EngineStats], float]], ...]] = (
    (
        Metric("antiphon_engine_ready", "gauge", "1 while it answers, or would once it is loaded", _MODEL),
        lambda s: s.ready or s.state in ("loading", "unloaded"),
    ),
    (Metric("antiphon_engine_running", "gauge", "Choices in the batch", _MODEL), lambda s: s.running),
    (Metric("antiphon_engine_waiting", "gauge", "Choices in the queue", _MODEL), lambda s: s.waiting),
    (
        Metric("antiphon_kv_pages", "gauge", "Pages of the KV cache", _MODEL),
        lambda s: s.pages_total,
    ),
    (
        Metric("antiphon_kv_pages_used", "gauge", "Pages held by running choices", _MODEL),
        lambda s: s.pages_used,
    ),
    (
        Metric("antiphon_kv_pages_cached", "gauge", "Pages kept for prompts that begin alike", _MODEL),
        lambda s: s.pages_cached,
    ),
    (
        Metric("antiphon_engine_preemptions_total", "counter", "Choices sent back to the queue", _MODEL),
        lambda s: s.preemptions,
    ),
    (
        Metric("antiphon_engine_drafted_tokens_total", "counter", "Tokens computed as guesses", _MODEL),
        lambda s: s.drafted_tokens,
    ),
    (
        Metric("antiphon_engine_accepted_tokens_total", "counter", "Of these, the ones that came", _MODEL),
        lambda s: s.accepted_tokens,
    ),
    (
        Metric(
            "antiphon_engine_requests_begun_total", "counter", "Requests that had their first step", _MODEL
        ),
        lambda s: s.begun,
    ),
    (
        Metric("antiphon_engine_queue_seconds_total", "counter", "Time these waited for it", _MODEL),
        lambda s: s.queued_s,
    ),
    (
        Metric("antiphon_engine_forward_seconds_total", "counter", "Time in the model", _MODEL),
        lambda s: s.forward_s,
    ),
    (
        Metric(
            "antiphon_engine_sampling_seconds_total", "counter", "Time drawing and scoring tokens", _MODEL
        ),
        lambda s: s.sampling_s,
    ),
    (
        Metric("antiphon_engine_masks_seconds_total", "counter", "Time on what constraints allow", _MODEL),
        lambda s: s.masks_s,
    ),
    (Metric("antiphon_engine_steps_total", "counter", "Steps of the engine", _MODEL), lambda s: s.steps),
    (
        Metric("antiphon_engine_step_age_seconds", "gauge", "Since the engine's last sign of life", _MODEL),
        lambda s: s.step_age_s,
    ),
    (
        Metric("antiphon_engine_restarts_total", "counter", "Engine processes started anew", _MODEL),
        lambda s: s.restarts,
    ),
    (
        Metric("antiphon_model_loaded", "gauge", "1 while the model is in memory", _MODEL),
        lambda s: s.state in ("loaded", "leaving"),
    ),
    (
        Metric("antiphon_model_requests_awaiting", "gauge", "Requests that wait for it to be loaded", _MODEL),
        lambda s: s.awaiting,
    ),
    (
        Metric("antiphon_model_loads_total", "counter", "How often it was loaded on demand", _MODEL),
        lambda s: s.loads,
    ),
    (
        Metric("antiphon_model_load_seconds_total", "counter", "Time that took", _MODEL),
        lambda s: s.load_s,
    ),
)
"""Read from each engine's newest snapshot, when somebody asks."""

_MODEL_NAME = ("model_name",)

GATEWAY: Final[tuple[tuple[Metric, Callable[[EngineStats], float]], ...]] = (
    (Metric("vllm:num_requests_running", "gauge", "Choices in the batch", _MODEL_NAME), lambda s: s.running),
    (Metric("vllm:num_requests_waiting", "gauge", "Choices in the queue", _MODEL_NAME), lambda s: s.waiting),
    (
        Metric(
            "vllm:kv_cache_usage_perc",
            "gauge",
            "Share of the KV cache's pages held by running choices, from 0 to 1",
            _MODEL_NAME,
        ),
        lambda s: s.pages_used / s.pages_total if s.pages_total else 0.0,
    ),
)
"""Once more under the names that gateways and autoscalers look for: those of vLLM's metrics."""

METRICS: Final = (*COUNTED, *(metric for metric, _ in (*ENGINE, *GATEWAY)))
"""Every metric there is."""

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Metrics:
    """The figures of one server. Used from one event loop."""

    def __init__(self) -> None:
        """Start with everything at zero."""
        self._registry = CollectorRegistry()
        # When a counter was created is in its process's start time.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._counters = {m: _counter(m, self._registry) for m in COUNTED if m.kind == "counter"}
        self._histograms = {m: _histogram(m, self._registry) for m in COUNTED if m.kind == "histogram"}
        self._choices = Gauge(CHOICES.name, CHOICES.help, CHOICES.labels, registry=self._registry)
        self._engines: dict[str, Callable[[], EngineStats]] = {}
        self._registry.register(_EngineFigures(self._engines))

    def watch_engine(self, model: str, stats: Callable[[], EngineStats]) -> None:
        """Show this engine's figures, under the name of its model."""
        self._engines[model] = stats

    def watch_choices(self, model: str, read: Callable[[], int]) -> None:
        """Ask there how many of a model's choices are in hand."""
        self._choices.labels(model).set_function(read)

    def of_model(self, model: str) -> "ModelMetrics":
        """What is reported of one model, by its id."""
        counters = {metric: counter for metric, counter in self._counters.items() if "model" in metric.labels}
        histograms = {m: histogram for m, histogram in self._histograms.items() if "model" in m.labels}
        return ModelMetrics(model, counters, histograms)

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An answer is complete. `route` is a template, never a path."""
        known = method if method in _METHODS else "other"
        self._counters[REQUESTS].labels(known, route, str(status)).inc()
        self._histograms[REQUEST_S].labels(route).observe(seconds)

    def error_told(self, route: str, error: str) -> None:
        """A client was told of an error; `error` is the name of its class."""
        self._counters[ERRORS].labels(route, error).inc()

    def event_loop_lagged(self, seconds: float) -> None:
        """The event loop woke so late."""
        self._histograms[LAG_S].observe(seconds)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format; its media type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def samples(self) -> dict[str, list[Sample]]:
        """Everything, by name of series: a histogram is three, as in the text format."""
        series: dict[str, list[Sample]] = {}
        for family in self._registry.collect():
            for sample in family.samples:
                series.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return series


class ModelMetrics:
    """The figures of one model; made by `Metrics.of_model`."""

    def __init__(
        self, model: str, counters: Mapping[Metric, Counter], histograms: Mapping[Metric, Histogram]
    ) -> None:
        """Every series begins at zero, so that its first growth is seen."""
        self._counters = {m: c.labels(model) for m, c in counters.items() if m is not COMPLETIONS}
        self._histograms = {m: histogram.labels(model) for m, histogram in histograms.items()}
        self._ended = {outcome: counters[COMPLETIONS].labels(model, outcome) for outcome in get_args(Outcome)}

    def prompt_accepted(self, tokens: int) -> None:
        """A prompt went to the engine."""
        self._counters[PROMPT_TOKENS].inc(tokens)

    def prompt_cached(self, tokens: int) -> None:
        """So much of a prompt was found in the prefix cache."""
        self._counters[CACHED_TOKENS].inc(tokens)

    def first_token(self, seconds: float) -> None:
        """A completion's first token came after so long."""
        self._histograms[FIRST_TOKEN_S].observe(seconds)

    def tokens_generated(self, count: int) -> None:
        """A choice got tokens."""
        self._counters[COMPLETION_TOKENS].inc(count)

    def answer_broken(self) -> None:
        """An answer is not valid under its schema."""
        self._counters[VIOLATIONS].inc()

    def answer_unchecked(self) -> None:
        """An answer that was held to something ended, and nothing else could read it."""
        self._counters[UNCHECKED].inc()

    def token_followed(self, seconds: float) -> None:
        """A choice's token came so long after the one before."""
        self._histograms[TOKEN_S].observe(seconds)

    def completion_ended(self, outcome: Outcome) -> None:
        """A completion that had begun is over."""
        self._ended[outcome].inc()


class _EngineFigures(Collector):
    """Reads the engines' snapshots at the moment they are asked for."""

    def __init__(self, engines: dict[str, Callable[[], EngineStats]]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        snapshots = {model: stats() for model, stats in self._engines.items()}
        for metric, read in (*ENGINE, *GATEWAY):
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            figures = family(metric.name, metric.help, labels=metric.labels)
            for model, stats in snapshots.items():
                figures.add_metric([model], read(stats))
            yield figures


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def _histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
