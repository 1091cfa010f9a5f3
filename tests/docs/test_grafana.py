"""The Grafana dashboard asks for what the server tells."""

import json
import re
from pathlib import Path
from typing import Any

from antiphon.telemetry.metrics import METRICS

FILE = Path(__file__).parents[2] / "docs" / "grafana" / "antiphon.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]

SERIES = {
    name: metric
    for metric in METRICS
    for name in (
        [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        if metric.kind == "histogram"
        else [metric.name]
    )
}


def test_every_series_exists_and_has_the_labels_that_are_used() -> None:
    """A metric that was renamed would leave a panel empty without a word."""
    for query in QUERIES:
        names = re.findall(r"antiphon_\w+", query)
        assert names, query
        assert set(names) <= SERIES.keys(), query
        labels = {label for name in names for label in (*SERIES[name].labels, "le", "instance", "job")}
        groups = [label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")]
        matched = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query)
        assert {*groups, *matched} <= labels, query


def test_counters_are_read_as_rates_and_gauges_are_not() -> None:
    """A counter by itself only ever grows."""
    for query in QUERIES:
        for name in re.findall(r"antiphon_\w+", query):
            is_rate = re.search(rf"(rate|increase)\({name}\b", query) is not None
            assert is_rate == (SERIES[name].kind != "gauge"), query


def test_every_metric_is_shown() -> None:
    """What is worth counting is worth a look; gateways' names for the same figures are not."""
    shown = {SERIES[name].name for query in QUERIES for name in re.findall(r"antiphon_\w+", query)}

    assert {metric.name for metric in METRICS if not metric.name.startswith("vllm:")} - shown == set()
