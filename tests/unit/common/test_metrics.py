"""Metrics: what is exposed, and docs/metrics.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from services.common import replica_metrics
from services.common.metrics import Metrics
from services.common.records import DegradedCause, EntryKind, GateDecision
from services.genproto.nesycd.v1 import knowledge_pb2

DOC = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>.*?) \| (?P<unit>.*?) "
    r"\| (?P<meaning>.*?) \|$",
    re.MULTILINE,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), has_certificate=True)


def _rows(heading: str) -> list[re.Match[str]]:
    """The rows of the tables under a heading of the documentation."""
    [part] = [
        one for one in DOC.read_text("utf-8").split("\n## ") if one.startswith(f"{heading}\n")
    ]
    return list(ROW.finditer(part))


def _row(row: re.Match[str]) -> tuple[str, str, list[str], str]:
    return row["name"], row["type"], re.findall(r"`(\w+)`", row["labels"]), row["meaning"]


def _collectors(metrics: Metrics) -> list[MetricWrapperBase]:
    """Everything on the registry, in order of registration."""
    found = list(metrics.registry._collector_to_names)
    assert all(isinstance(collector, MetricWrapperBase) for collector in found)
    return found


def _exposed(collector: MetricWrapperBase) -> str:
    return collector._name + ("_total" if collector._type == "counter" else "")


def test_the_documentation_lists_every_metric_as_it_is_exposed(metrics: Metrics) -> None:
    assert [_row(row) for row in _rows("At the gateway")] == [
        (_exposed(one), one._type, list(one._labelnames), one._documentation)
        for one in _collectors(metrics)
    ]


def test_the_documented_names_are_those_on_the_page_that_prometheus_reads(
    metrics: Metrics,
) -> None:
    page = generate_latest(metrics.registry).decode()
    exposed = re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE)
    documented = [(row["name"], row["type"]) for row in _rows("At the gateway")]
    assert documented == [(name, kind) for name, kind in exposed if not name.endswith("_created")]


def test_the_documentation_lists_every_metric_of_the_replicas() -> None:
    assert [_row(row) for row in _rows("In the replicas")] == [
        (f"ray_{one.name}", one.kind, list(one.labels), one.meaning) for one in replica_metrics.ALL
    ]


def test_every_edit_is_an_rpc_that_is_counted() -> None:
    counted = {
        rpc.name
        for rpc in knowledge_pb2.DESCRIPTOR.services_by_name["KnowledgeService"].methods
        if "edit" in rpc.input_type.fields_by_name
    }
    assert {"CreateEntry", "UpdateEntry", "ActivateRelease", "RollBackRelease"} <= counted
    assert not {"FindEntries", "GetEntry", "SearchEntries", "ListReleases"} & counted


def test_without_tls_no_expiry_is_exposed() -> None:
    page = generate_latest(Metrics(CollectorRegistry()).registry).decode()
    assert "certificate" not in page


def test_every_metric_has_a_unit_and_seconds_stand_in_the_name() -> None:
    rows = _rows("At the gateway") + _rows("In the replicas")
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
        ("retrieved", [kind.value for kind in EntryKind]),
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
