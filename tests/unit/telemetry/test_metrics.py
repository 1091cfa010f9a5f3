"""What is counted, and how it is read."""

import re

import pytest

from antiphon.core.generation import EngineStats
from antiphon.telemetry.metrics import METRICS, Metrics


def test_exposition_has_every_declared_metric_and_no_other() -> None:
    """Each is declared once; what the library adds by itself would show here."""
    metrics = Metrics()
    metrics.watch_choices("m", lambda: 3)
    text = metrics.exposition().decode()

    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert told == {metric.name: metric.kind for metric in METRICS}
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(f"# HELP {metric.name} {metric.help}\n" in text for metric in METRICS)


def test_counts_show_up_in_text_and_samples() -> None:
    """Both are the same numbers."""
    metrics = Metrics()
    metrics.request_answered("GET", "/v1/models", 200, 0.03)
    metrics.request_answered("GET", "/v1/models", 200, 0.01)

    labels = {"method": "GET", "route": "/v1/models", "status": "200"}
    assert metrics.samples()["antiphon_requests_total"] == [(labels, 2.0)]
    line = 'antiphon_requests_total{method="GET",route="/v1/models",status="200"} 2.0\n'
    assert line in metrics.exposition().decode()
    bounds = {
        labels["le"]: count for labels, count in metrics.samples()["antiphon_request_duration_seconds_bucket"]
    }
    assert (bounds["0.005"], bounds["0.02"], bounds["0.05"], bounds["+Inf"]) == (0, 1, 2, 2)


def test_engines_are_asked_when_somebody_reads() -> None:
    """The newest snapshot of each, under its model's name."""
    metrics = Metrics()
    stats = EngineStats(ready=True, running=1, pages_used=7)
    metrics.watch_engine("m", lambda: stats)
    before = metrics.samples()["antiphon_engine_running"]
    stats = EngineStats(ready=True, running=5, preemptions=2)
    after = metrics.samples()

    assert before == [({"model": "m"}, 1)]
    assert after["antiphon_engine_running"] == [({"model": "m"}, 5)]
    assert after["antiphon_engine_preemptions_total"] == [({"model": "m"}, 2)]


def test_gateways_find_the_queue_and_the_cache_under_the_names_they_know() -> None:
    """The same figures; the cache as a share, none of it used before there are pages."""
    metrics = Metrics()
    stats = EngineStats()
    metrics.watch_engine("m", lambda: stats)
    before = metrics.samples()["vllm:kv_cache_usage_perc"]
    stats = EngineStats(ready=True, running=5, waiting=3, pages_total=8, pages_used=6)
    after = metrics.samples()

    assert before == [({"model_name": "m"}, 0.0)]
    assert after["vllm:kv_cache_usage_perc"] == [({"model_name": "m"}, 0.75)]
    assert after["vllm:num_requests_running"] == [({"model_name": "m"}, 5)]
    assert after["vllm:num_requests_waiting"] == [({"model_name": "m"}, 3)]


@pytest.mark.parametrize("method", ["BREW", "get", "x" * 100])
def test_no_label_is_a_clients_own_word(method: str) -> None:
    """A method that nobody knows is counted as another."""
    metrics = Metrics()
    metrics.request_answered(method, "-", 405, 0.0)

    ((labels, _),) = metrics.samples()["antiphon_requests_total"]
    assert labels["method"] == "other"


def test_two_servers_count_apart() -> None:
    """Nothing is kept beside the object."""
    one, other = Metrics(), Metrics()
    one.of_model("m").tokens_generated(4)
    other.of_model("m")

    assert one.samples()["antiphon_completion_tokens_total"] == [({"model": "m"}, 4.0)]
    assert other.samples()["antiphon_completion_tokens_total"] == [({"model": "m"}, 0.0)]


def test_two_models_count_apart() -> None:
    """Each from zero on, so that the first growth is seen."""
    metrics = Metrics()
    metrics.of_model("a").completion_ended("failed")
    metrics.of_model("b").first_token(0.2)

    samples = metrics.samples()
    failed = {labels["model"]: value for labels, value in samples["antiphon_completions_total"]
              if labels["outcome"] == "failed"}  # fmt: skip
    first = {
        labels["model"]: value for labels, value in samples["antiphon_time_to_first_token_seconds_count"]
    }
    assert (failed, first) == ({"a": 1, "b": 0}, {"a": 0, "b": 1})
