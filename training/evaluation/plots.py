"""Pictures of an evaluation and of a calibration: PNG files, drawn without a display."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.common.errors import ConfigurationError
from training.evaluation.results import BBH_TRAINED, Benchmark, Results
from training.evaluation.score import Share
from training.evaluation.sweep import Calibration

_DPI = 120


def plot_accuracy(results: Results, path: Path) -> None:
    """Accuracy of every system with its interval, one panel per benchmark.

    Raises: ConfigurationError when the file cannot be written.
    """
    systems = max(len(one.systems) for one in results.benchmarks)
    count = len(results.benchmarks)
    figure = Figure(figsize=(5 * count + 1, 1.5 + 0.35 * systems), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for panel, benchmark in zip(panels, results.benchmarks, strict=True):
        shares = [one.micro for one in benchmark.systems.values()]
        _bars(panel, list(benchmark.systems), shares)
        seen = "\n(train split trained on)" if benchmark.remark == BBH_TRAINED else ""
        panel.set_title(f"{benchmark.dataset}, n = {shares[0].n}{seen}")
    _save(figure, path)


def plot_tasks(benchmark: Benchmark, path: Path) -> None:
    """Accuracy of every system on every task with its interval, one panel per system.

    Raises: ConfigurationError when the file cannot be written.
    """
    tasks = benchmark.tasks
    count = len(benchmark.systems)
    figure = Figure(figsize=(2.2 * count + 3, 1.5 + 0.22 * len(tasks)), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False, sharey=True)[0]
    for panel, (name, one) in zip(panels, benchmark.systems.items(), strict=True):
        _bars(panel, tasks, [one.tasks[task] for task in tasks])
        panel.set_title(name, fontsize="small")
    _save(figure, path)


def plot_thresholds(calibration: Calibration, path: Path) -> None:
    """Accuracy and the share of direct answers over the threshold.

    Raises: ConfigurationError when the file cannot be written.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    curve = calibration.curve
    thresholds = [point.threshold for point in curve]
    accuracy = [100 * point.accuracy.accuracy for point in curve]
    panel.step(thresholds, accuracy, where="mid", color="C0", label="accuracy")
    panel.fill_between(
        thresholds,
        [100 * point.accuracy.low for point in curve],
        [100 * point.accuracy.high for point in curve],
        step="mid",
        color="C0",
        alpha=0.15,
        label="95 % interval",
    )
    direct = [100 * point.direct for point in curve]
    panel.step(thresholds, direct, where="mid", color="C1", label="answered directly")
    panel.axvline(calibration.threshold, color="black", label=f"chosen {calibration.threshold:.3f}")
    if calibration.paper is not None:
        paper = calibration.paper.threshold
        panel.axvline(paper, color="grey", linestyle="--", label=f"paper {paper}")
    panel.set(xlabel="threshold", ylabel="%", ylim=(0, 100), xlim=(0, 1))
    panel.set_title(f"gate on {calibration.questions} questions kept out of training")
    panel.legend(fontsize="small")
    _save(figure, path)


def _bars(panel: Axes, names: list[str], shares: list[Share]) -> None:
    accuracy = [100 * share.accuracy for share in shares]
    below = [100 * (share.accuracy - share.low) for share in shares]
    above = [100 * (share.high - share.accuracy) for share in shares]
    places = range(len(names))
    panel.barh(
        places, accuracy, xerr=(below, above), capsize=2, color="lightsteelblue", ecolor="black"
    )
    panel.set_yticks(places, names)
    panel.set(xlim=(0, 100), ylim=(len(names) - 0.5, -0.5), xlabel="%")


def _save(figure: Figure, path: Path) -> None:
    try:
        # Without its own version in it, so that the same numbers are the same bytes.
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
