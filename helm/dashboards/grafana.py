"""What a dashboard is made of, and how it is written as Grafana's JSON.

A query names its series as `metric{@}` or `metric{@, label="value"}`: `@` stands for the
namespace and the Helm release that are chosen at the top of the page. Where a scrape sets
neither label, "All" (`.*`) still finds every series.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

RELEASE_LABEL = "app_kubernetes_io_instance"
"""The target label with the Helm release: PodMonitor and ServiceMonitor set it."""

_SELECTOR = f'namespace=~"$namespace", {RELEASE_LABEL}=~"$release"'
_SCHEMA_VERSION = 41  # Grafana 12
_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the legend of its series; `{{label}}` is a label's value."""

    legend: str
    expr: str

    @property
    def text(self) -> str:
        """The expression with the selector written out."""
        return self.expr.replace("@", _SELECTOR)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        unit: Grafana's id of the unit, such as "s", "reqps", "percentunit".
        kind: "stat" shows the last value, or the legend where `shows_legend`.
        width: in columns of 24.
        exemplars: shows the traces behind the points, where there are any.
        lowest, highest: ends of the scale; None leaves the choice to the values.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "heatmap"] = "timeseries"
    width: int = 8
    shows_legend: bool = False
    exemplars: bool = False
    lowest: float | None = 0
    highest: float | None = None

    @property
    def height(self) -> int:
        """In Grafana's rows."""
        return 4 if self.kind == "stat" else 8


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard. `uid` never changes: links and bookmarks hold it.

    `anchor` is a metric that exists wherever the page has anything to show; the choices of
    namespace and release come from its labels. `choices` are further variables: name, label
    and values, the first of which is the default.
    """

    uid: str
    title: str
    description: str
    anchor: str
    rows: tuple[Row, ...]
    choices: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


def quantiles(
    metric: str, *, labels: str = "", by: str = "", legend: str = ""
) -> tuple[Query, ...]:
    """p50, p90, p95 and p99 of a histogram; one set of lines per value of the label `by`."""
    inside = f"@, {labels}" if labels else "@"
    grouping = f"le, {by}" if by else "le"
    rate = f"sum by ({grouping}) (rate({metric}_bucket{{{inside}}}[$__rate_interval]))"
    return tuple(
        Query(f"{legend} p{share}".strip(), f"histogram_quantile({share / 100}, {rate})")
        for share in (50, 90, 95, 99)
    )


def as_json(page: Page) -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(_dashboard(page), indent=1, ensure_ascii=False) + "\n"


def _dashboard(page: Page) -> Json:
    return {
        "uid": page.uid,
        "title": page.title,
        "description": page.description,
        "tags": ["nesycd"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "title": "nesycd",
                "tags": ["nesycd"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": []},
        "templating": {"list": _variables(page)},
        "panels": _panels(page),
    }


def _variables(page: Page) -> list[Json]:
    def labels(name: str, title: str, query: str) -> Json:
        return {
            "name": name,
            "label": title,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        }

    def choice(name: str, title: str, values: tuple[str, ...]) -> Json:
        return {
            "name": name,
            "label": title,
            "type": "custom",
            "query": ",".join(values),
            "current": {"text": values[0], "value": values[0]},
            "options": [
                {"text": value, "value": value, "selected": value == values[0]} for value in values
            ],
        }

    within = f'{page.anchor}{{namespace=~"$namespace"}}'
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {},
        },
        labels("namespace", "Namespace", f"label_values({page.anchor}, namespace)"),
        labels("release", "Helm release", f"label_values({within}, {RELEASE_LABEL})"),
        *(choice(*one) for one in page.choices),
    ]


def _panels(page: Page) -> list[Json]:
    """Rows one below the other, the panels of each from left to right."""
    written: list[Json] = []
    y = 0
    for row in page.rows:
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        written.append(
            {
                "id": len(written) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            written.append({"id": len(written) + 1, "gridPos": place} | _panel(panel))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return written


def _panel(panel: Panel) -> Json:
    defaults: Json = {"unit": panel.unit, "color": {"mode": "palette-classic"}}
    defaults |= {"min": panel.lowest} if panel.lowest is not None else {}
    defaults |= {"max": panel.highest} if panel.highest is not None else {}
    if panel.kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "auto"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        "targets": [_target(panel, number) for number in range(len(panel.queries))],
    }


def _target(panel: Panel, number: int) -> Json:
    query = panel.queries[number]
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.text,
        "legendFormat": query.legend,
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        "range": True,
        "instant": False,
        "exemplar": panel.exemplars,
    }


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {
            "colorMode": "none",
            "graphMode": "none" if panel.shows_legend else "area",
            "textMode": "name" if panel.shows_legend else "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    if panel.kind == "heatmap":
        return {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "yAxis": {"unit": panel.unit},
            "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": False},
        }
    return {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
