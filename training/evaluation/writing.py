"""Writes what an evaluation leaves: results.json, report.md and the plots."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kb_loader.dump import write_file
from training.evaluation.report import ACCURACY_PLOT, TASKS_PLOT, report
from training.evaluation.results import Results

RESULTS: Final = "results.json"
REPORT: Final = "report.md"


def write_results(results: Results, folder: Path) -> None:
    """Writes all of it. Raises: ConfigurationError when a file cannot be written."""
    from training.evaluation.plots import plot_accuracy, plot_tasks  # noqa: PLC0415 - matplotlib

    write_file(folder / RESULTS, f"{results.model_dump_json(indent=2)}\n".encode())
    plot_accuracy(results, folder / ACCURACY_PLOT)
    for benchmark in results.benchmarks:
        if benchmark.has_tasks:
            plot_tasks(benchmark, folder / f"{benchmark.dataset}-{TASKS_PLOT}")
    write_file(folder / REPORT, report(results).encode())
