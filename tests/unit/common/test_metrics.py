"""Metrics: what is exposed, and docs/metrics.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from services.common.metrics import Metrics
from services.common.records import DegradedCause, GateDecision

DOC = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>.*?) \| (?P<unit>.*?) "
    r"\| (?P<meaning>.*?) \|$",
    re.MULTILINE,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def _collectors(metrics: Metrics) -> list[MetricWrapperBase]:
    """Everything on the registry, in order of registration."""
    found = list(metrics.registry._collector_to_names)
    assert all(isinstance(collector, MetricWrapperBase) for collector in found)
    return found


def _exposed(collector: MetricWrapperBase) -> str:
    return collector._name + ("_total" if collector._type == "counter" else "")


def test_the_documentation_lists_every_metric_as_it_is_exposed(metrics: Metrics) -> None:
    documented = [
        (row["name"], row["type"], re.findall(r"`(\w+)`", row["labels"]), row["meaning"])
        for row in ROW.finditer(DOC.read_text("utf-8"))
    ]
    assert documented == [
        (_exposed(one), one._type, list(one._labelnames), one._documentation)
        for one in _collectors(metrics)
    ]


def test_the_documented_names_are_those_on_the_page_that_prometheus_reads(
    metrics: Metrics,
) -> None:
    page = generate_latest(metrics.registry).decode()
    exposed = re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE)
    documented = [(row["name"], row["type"]) for row in ROW.finditer(DOC.read_text("utf-8"))]
    assert documented == [(name, kind) for name, kind in exposed if not name.endswith("_created")]


def test_every_metric_has_a_unit_and_seconds_stand_in_the_name() -> None:
    rows = list(ROW.finditer(DOC.read_text("utf-8")))
    assert all(row["unit"] for row in rows)
    assert [row["name"] for row in rows if row["unit"] == "seconds"] == [
        row["name"] for row in rows if row["name"].endswith("_seconds")
    ]


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("gate_decisions", [decision.value for decision in GateDecision]),
        ("degraded", [cause.value for cause in DegradedCause]),
        ("tokens", ["prompt", "completion"]),
    ],
)
def test_bounded_labels_start_at_zero_and_are_documented(
    metrics: Metrics, attribute: str, values: list[str]
) -> None:
    collector = getattr(metrics, attribute)
    [family] = collector.collect()
    samples = {
        sample.labels[collector._labelnames[0]]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert samples == dict.fromkeys(values, 0.0)
    text = DOC.read_text("utf-8")
    assert all(f"`{value}`" in text for value in values)


def test_two_sets_of_metrics_share_no_counts() -> None:
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    first.unparsed.inc()
    assert second.registry.get_sample_value("nesycd_unparsed_answers_total") == 0.0
