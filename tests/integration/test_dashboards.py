"""Every panel and every alert asked of a real Prometheus, beside the real service under traffic.

One service with the scripted student; the panels of the engine's own metrics on vLLM with a tiny
random model. A query that comes back empty fails: a panel that can show nothing is worse than
none. `pytest --junitxml=FILE` keeps a sample of every answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import promql_parser
import pytest

from tests.patience import PATIENT_RAY
from tests.prometheus import LABELS, Prometheus, prometheus, ray_metrics_address
from tests.promql import with_values
from tests.service import running_service
from tests.tiny_models import build_model, write_adapter
from tests.traffic import Traffic, traffic
from tests.unit.helm.test_alerts import ALERTS, ENTRIES
from tests.unit.helm.test_dashboards import ALL_CHOICES, panels

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

ADAPTER = "maths@v1"
GATEWAY_PLACES = 4
WINDOW = "1m"
PATIENCE_S = 60.0

EXPECTED_EMPTY = {
    "Connections to Neo4j": "the embedded store has no connections",
    "Certificate ends in": "served without TLS here",
}
"""Panels that rightly show nothing in this run, with the reason."""

EXPECTED_EMPTY_ALERTS = {
    "NesycdCertificateExpires": "served without TLS here",
    "NesycdCertificateExpiresNow": "served without TLS here",
}

QUERIES = [
    pytest.param(panel["title"], target["expr"], id=f"{name}: {panel['title']}: {target['refId']}")
    for name, panel in panels()
    for target in panel["targets"]
    if panel["title"] not in EXPECTED_EMPTY
]
OF_THE_ENGINE = [query for query in QUERIES if "ray_vllm_" in query.values[1]]
OF_THE_SERVICE = [query for query in QUERIES if "ray_vllm_" not in query.values[1]]


@dataclass(frozen=True)
class Observed:
    prometheus: Prometheus
    traffic: Traffic


@contextmanager
def observed(folder: Path, **settings: object) -> Iterator[Observed]:
    adapters = folder / "adapters"
    write_adapter(adapters, ADAPTER)
    with (
        mock.patch.dict(os.environ, PATIENT_RAY),
        running_service(
            folder,
            ready_timeout_s=600,
            student__adapters_dir=adapters,
            gateway__max_concurrent_calls=GATEWAY_PLACES,
            **settings,
        ) as service,
        prometheus(
            folder,
            {
                "gateway": service.metrics_url.split("/")[2],
                "ray": ray_metrics_address(service),
            },
        ) as server,
        traffic(service.address, adapter=ADAPTER, crowd=4 * GATEWAY_PLACES) as driven,
    ):
        yield Observed(server, driven)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed(tmp_path_factory.mktemp("scripted"), student__backend="scripted") as one:
        yield one


@pytest.fixture(scope="module")
def on_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("vllm")
    with observed(
        folder,
        student__model=build_model(folder / "tiny", context=4096),
        student__dtype="float32",
        student__kv_cache_bytes=1 << 27,
        student__max_lora_rank=16,
    ) as one:
        yield one


def answer(seen: Observed, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers, as soon as it has an answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := seen.prometheus.ask(expression)):
        if time.monotonic() > deadline:
            return []
        time.sleep(1)
    return found


Keep = Callable[[str, object], None]
"""pytest's record_property."""


def sample(found: list[dict[str, Any]]) -> str:
    """The first three series, as they would be shown."""
    return "; ".join(
        f"{ {name: value for name, value in one['metric'].items() if name not in LABELS} }"
        f" {one['value'][1]}"
        for one in found[:3]
    )


def shown(expression: str) -> str:
    return with_values(expression, window=WINDOW, choices=ALL_CHOICES)


def without_comparison(expression: str) -> str:
    """What an alert measures: each comparison replaced by its left side, `unless` as well."""

    def left(node: promql_parser.Expr) -> promql_parser.Expr | None:
        is_filter = isinstance(node, promql_parser.BinaryExpr) and str(node.op) in {
            *("==", "!=", ">", "<", ">=", "<=", "unless"),
        }
        return node.lhs if is_filter else None

    return str(promql_parser.transform(promql_parser.parse(expression), post_visit=left))


@pytest.mark.parametrize(("title", "expression"), OF_THE_SERVICE)
def test_a_panel_shows_data(
    scripted: Observed, title: str, expression: str, record_property: Keep
) -> None:
    found = answer(scripted, shown(expression))
    record_property(expression, sample(found))
    assert found, title


@pytest.mark.parametrize("alert", [name for name in ALERTS if name not in EXPECTED_EMPTY_ALERTS])
def test_an_alert_measures_something(scripted: Observed, alert: str, record_property: Keep) -> None:
    measured = without_comparison(ALERTS[alert]["expr"])
    found = answer(scripted, measured)
    record_property(measured, sample(found))
    assert found


def test_prometheus_takes_every_rule_and_the_healthy_service_wakes_nobody(
    scripted: Observed,
) -> None:
    for entry in ENTRIES:
        if "record" in entry:
            assert answer(scripted, entry["record"])
    firing = {
        series["metric"]["alertname"]
        for series in scripted.prometheus.ask('ALERTS{alertstate="firing"}')
    }
    assert not firing & {
        name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "critical"
    }


@pytest.mark.parametrize(("title", "expression"), OF_THE_ENGINE)
def test_a_panel_of_the_engine_shows_data(
    on_vllm: Observed, title: str, expression: str, record_property: Keep
) -> None:
    found = answer(on_vllm, shown(expression))
    record_property(expression, sample(found))
    assert found, title


def test_no_panel_is_left_out_without_a_reason() -> None:
    titles = {panel["title"] for _, panel in panels()}
    assert set(EXPECTED_EMPTY) <= titles
    assert set(EXPECTED_EMPTY_ALERTS) <= set(ALERTS)
    for name, reason in EXPECTED_EMPTY.items():
        assert reason, name
