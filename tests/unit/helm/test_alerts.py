"""The alerts: each fires and is silent when it should, and has a section in the runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.needs import missing
from tests.promql import (
    ROOT,
    documented_metrics,
    metrics_of,
)
from tests.unit.helm.alert_cases import CASES, LABELS, Case

RULES = sorted((ROOT / "helm" / "nesycd" / "alerts").glob("*.yaml"))
RUNBOOK = ROOT / "docs" / "runbook.md"

ENTRIES: list[dict[str, Any]] = [
    entry
    for path in RULES
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for entry in group["rules"]
]
ALERTS = {entry["alert"]: entry for entry in ENTRIES if "alert" in entry}
RECORDED = {entry["record"]: entry for entry in ENTRIES if "record" in entry}

every_alert = pytest.mark.parametrize("alert", ALERTS)


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    return found or missing("promtool is not on the PATH (Debian: apt-get install prometheus)")


def sections() -> dict[str, str]:
    """The runbook's sections on alerts, by heading."""
    parts = re.split(r"^## (\w+)$", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_promtool_finds_nothing_wrong(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", *map(str, RULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}, {case.when}")
def test_an_alert_fires_or_is_silent(case: Case, promtool: str, tmp_path: Path) -> None:
    labels = ", ".join(f'{name}="{value}"' for name, value in LABELS.items())
    asked = {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected(case)}
    test = {
        "rule_files": [str(path) for path in RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name.replace("@", labels), "values": values}
                    for name, values in case.series.items()
                ],
                "alert_rule_test": [asked],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps(test), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def expected(case: Case) -> list[dict[str, dict[str, str]]]:
    """The alert as it reaches whoever is called, with all its words."""
    if case.value is None:
        return []
    rule = ALERTS[case.alert]
    annotations = {
        name: re.sub(
            r"\{\{ \$(?:labels\.(\w+)|value[^}]*) \}\}",
            lambda found: LABELS[found[1]] if found[1] else case.value,
            text,
        )
        for name, text in rule["annotations"].items()
    }
    return [{"exp_labels": LABELS | rule["labels"], "exp_annotations": annotations}]


@every_alert
def test_an_alert_is_tested_for_firing_and_for_silence(alert: str) -> None:
    outcomes = {case.value is None for case in CASES if case.alert == alert}
    assert outcomes == {True, False}


@every_alert
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    for name in LABELS:
        assert f"$labels.{name}" in rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"


@every_alert
def test_the_runbook_says_meaning_impact_how_to_look_and_what_to_do(alert: str) -> None:
    text = sections()[alert]
    places = [text.index(f"**{part}**") for part in ("Meaning", "Impact", "Look", "Do")]
    assert places == sorted(places)
    assert "```" in text or "    " in text  # something to type


def test_the_runbook_speaks_of_no_other_alert() -> None:
    assert set(sections()) == set(ALERTS)


def test_every_rule_reads_metrics_that_the_catalogue_has() -> None:
    known = documented_metrics() | set(RECORDED)
    for entry in ENTRIES:
        assert metrics_of(entry["expr"]) <= known, entry


def test_every_recorded_series_is_used() -> None:
    used = set().union(*(metrics_of(rule["expr"]) for rule in ALERTS.values()))
    assert set(RECORDED) <= used


def test_the_chart_can_include_the_rules_untouched() -> None:
    for path in RULES:
        assert list(yaml.safe_load(path.read_text("utf-8"))) == ["groups"]
