"""The dashboards as Grafana and Prometheus will read them; with data: tests/integration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from helm.dashboards.grafana import as_json
from helm.dashboards.pages import FOLDER, PAGES
from tests.promql import (
    bare_series_of,
    documented_metrics,
    metrics_of,
    with_values,
)

DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
}


CUMULATIVE = ("_total", "_bucket", "_count", "_sum")


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield name, panel


every_panel = pytest.mark.parametrize(
    "panel",
    [pytest.param(panel, id=f"{name}: {panel['title']}") for name, panel in panels()],
)
every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def choices(dashboard: dict[str, Any]) -> dict[str, str]:
    """The variables with fixed values, and the value each has at first."""
    return {
        one["name"]: one["current"]["value"]
        for one in dashboard["templating"]["list"]
        if one["type"] == "custom"
    }


ALL_CHOICES = {name: value for one in DASHBOARDS.values() for name, value in choices(one).items()}


def test_the_json_is_what_the_python_writes() -> None:
    written = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert written == {name: as_json(page) for name, page in PAGES.items()}, (
        "run python -m helm.dashboards"
    )


def test_each_page_has_a_uid_and_a_title_of_its_own() -> None:
    for field in ("uid", "title"):
        assert len({one[field] for one in DASHBOARDS.values()}) == len(DASHBOARDS) == 4


def test_the_uids_stay_as_links_and_bookmarks_hold_them() -> None:
    assert {name: one["uid"] for name, one in DASHBOARDS.items()} == {
        name: f"nesycd-{name}" for name in ("overview", "reasoning", "student", "knowledge")
    }


@every_dashboard
def test_a_dashboard_has_what_an_import_needs(dashboard: dict[str, Any]) -> None:
    assert "id" not in dashboard  # Grafana gives it
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["panels"]
    variables = [one["name"] for one in dashboard["templating"]["list"]]
    assert variables[:3] == ["datasource", "namespace", "release"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


@every_dashboard
def test_panels_lie_in_the_grid_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@every_dashboard
def test_no_two_panels_of_a_page_share_a_title(dashboard: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)


@every_panel
def test_a_panel_has_a_unit_a_description_and_a_legend_for_each_line(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 20
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert all(legends)
    assert len(set(legends)) == len(legends)


@every_panel
def test_a_panel_asks_only_for_metrics_that_the_catalogue_has(panel: dict[str, Any]) -> None:
    known = documented_metrics()
    for target in panel["targets"]:
        asked = with_values(target["expr"], window="5m", choices=ALL_CHOICES)
        assert "$" not in asked
        assert metrics_of(asked) <= known


@every_panel
def test_a_panel_asks_the_chosen_source_namespace_and_release(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "${datasource}"
        expression = target["expr"]
        series = expression.count("{")
        assert expression.count('namespace=~"$namespace"') == series
        assert expression.count('app_kubernetes_io_instance=~"$release"') == series
        assert metrics_of(with_values(expression, window="5m", choices=ALL_CHOICES)) or (
            expression == "vector($objective)"
        )


@every_panel
def test_counters_are_read_as_rates_over_the_interval_shown(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        windows = expression.count("[$__rate_interval]") + expression.count("[$__range]")
        assert windows == expression.count("[")
        bare = bare_series_of(with_values(expression, window="5m", choices=ALL_CHOICES))
        # The one gauge that is named like a counter.
        bare -= {"ray_node_mem_total"}
        assert not [name for name in bare if name.endswith(CUMULATIVE)]


@every_dashboard
def test_every_variable_is_used(dashboard: dict[str, Any]) -> None:
    text = json.dumps(dashboard["panels"])
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        assert f"${name}" in text or f"${{{name}}}" in text, name
