"""PromQL as the dashboards and alerts write it: what it names, and how it is asked."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import promql_parser

ROOT = Path(__file__).parents[1]

_HISTOGRAM_SERIES = ("_bucket", "_count", "_sum")


def metrics_of(expression: str) -> set[str]:
    """The metrics an expression names, a histogram by its own name.

    Raises: ValueError when the expression does not parse.
    """
    named: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            named.add(node.name)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return {_family(name) for name in named}


def bare_series_of(expression: str) -> set[str]:
    """The series an expression reads as they stand, not over a window of time."""
    read: Counter[str] = Counter()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            read[node.name] += 1
        if isinstance(node, promql_parser.MatrixSelector):
            read[node.vector_selector.name] -= 1  # visited once more, as what is inside

    promql_parser.walk(promql_parser.parse(expression), visit)
    return {name for name, times in read.items() if times}


def _family(series: str) -> str:
    for suffix in _HISTOGRAM_SERIES:
        # `nesycd_tokens_sum` would be a counter's name; no metric of ours ends so.
        if series.endswith(suffix):
            return series.removesuffix(suffix)
    return series


def with_values(expression: str, *, window: str, choices: dict[str, str]) -> str:
    """A panel's expression as Grafana asks it, with "All" chosen for namespace and release."""
    values = {"__rate_interval": window, "__range": window, "namespace": ".*", "release": ".*"}
    for name, value in (values | choices).items():
        expression = re.sub(rf"\${name}\b", value, expression)
    return expression


def documented_metrics() -> set[str]:
    """The names in the first cells of the tables of docs/metrics.md."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    cells = re.findall(r"^\| (`(?:ray_|nesycd_).*?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
