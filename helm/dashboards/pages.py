"""All dashboards by the name of their file."""

from __future__ import annotations

from pathlib import Path

from helm.dashboards.grafana import Page
from helm.dashboards.knowledge import KNOWLEDGE
from helm.dashboards.overview import OVERVIEW
from helm.dashboards.reasoning import REASONING
from helm.dashboards.student import STUDENT

FOLDER = Path(__file__).parents[1] / "nesycd" / "dashboards"
"""Where the chart takes them from."""

PAGES: dict[str, Page] = {
    "overview": OVERVIEW,
    "reasoning": REASONING,
    "student": STUDENT,
    "knowledge": KNOWLEDGE,
}
