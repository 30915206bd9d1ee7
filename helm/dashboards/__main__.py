"""Writes every dashboard anew."""

from __future__ import annotations

from helm.dashboards.grafana import as_json
from helm.dashboards.pages import FOLDER, PAGES


def main() -> None:
    """Replaces the JSON files in helm/nesycd/dashboards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / f"{name}.json").write_text(as_json(page), encoding="utf-8")


if __name__ == "__main__":
    main()
