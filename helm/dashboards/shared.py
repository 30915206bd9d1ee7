"""Panels that stand on more than one page."""

from __future__ import annotations

from helm.dashboards.grafana import Panel, Query


def answers_by_adapter(*, width: int) -> Panel:
    """Which adapters answer."""
    return Panel(
        "Answers by adapter",
        "Answers per second, by the adapter that gave them; `none` is the bare model.",
        "ops",
        (
            Query(
                "{{adapter}}",
                "sum by (adapter) (rate(nesycd_answers_total{@}[$__rate_interval]))",
            ),
        ),
        width=width,
    )


def degraded_by_cause(*, width: int) -> Panel:
    """What answers had to do without."""
    return Panel(
        "Degraded answers by cause",
        "Answers per second that were made without a part that failed or was late.",
        "ops",
        (
            Query(
                "{{cause}}",
                "sum by (cause) (rate(nesycd_degraded_answers_total{@}[$__rate_interval]))",
            ),
        ),
        width=width,
    )
