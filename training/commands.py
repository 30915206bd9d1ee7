"""What the commands of `nesycd train` do and print."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from training.checking import check as check_all
from training.config import Config, load_config
from training.plan import Planned, plan
from training.progress import Progress
from training.run import Run, Standing
from training.stage import Estimate
from training.stages import load_stages
from training.worker import RayCluster

INTERRUPTED = 130
"""Exit code of a shell for what Ctrl-C ended."""

_WIDE = 240
_MOST_COUNTS = 60
_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is described and made.

    Attributes:
        config: TOML file.
        data: folder that relative paths in it start at; None for its own.
        out: run folder; None for the one that bears the run's name.
    """

    config: Path
    data: Path | None = None
    out: Path | None = None


def run(
    place: Place,
    *,
    last: str = "",
    cluster: RayCluster | None = None,
    quiet: bool = False,
    as_json: bool = False,
) -> int:
    """Checks everything, then brings every stage up to `last` to its end. Returns the exit code.

    Raises: NesycdError of what is wrong, or of the stage that failed.
    """
    progress = Progress(quiet=quiet)
    wanted = _open(place, cluster=cluster, progress=progress)
    check_all(wanted, with_ray=cluster is not None)
    handler = signal.signal(signal.SIGINT, progress.interrupt)
    try:
        done = wanted.run(last)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"nesycd: stopped; all that was made is kept in {wanted.folder}, and the same command "
            f"goes on\n"
        )
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, handler)
    if as_json:
        _print_json([_standing_fields(one) for one in done.values()])
    else:
        sys.stdout.write(f"{done[last].folder if last else wanted.folder}\n")
    return 0


def show_plan(place: Place, *, last: str = "", as_json: bool = False) -> int:
    """Checks everything, and prints what a run would cost. Returns the exit code."""
    wanted = _open(place)
    check_all(wanted)
    planned = plan(wanted.config, wanted.folder, tuple(wanted.stages.values()), last)
    if as_json:
        _print_json([_planned_fields(one) for one in planned])
        return 0
    numbers = [
        Column(name, justify="right") for name in ("rows", "read", "written", "time", "cost")
    ]
    table = Table("stage", "state", *numbers, "note", box=None)
    for one in planned:
        table.add_row(one.standing.stage.name, one.standing.state, *_cells(one.estimate))
    table.add_row("total", "", *_cells(_sum(one.estimate for one in planned)))
    _print(table)
    return 0


def status(place: Place, *, as_json: bool) -> int:
    """Prints where every stage stands. Returns the exit code."""
    wanted = _open(place)
    standings = list(wanted.standings())
    if as_json:
        _print_json([_standing_fields(one) for one in standings])
        return 0
    counts_column = Column("counts", max_width=_MOST_COUNTS, no_wrap=True)
    table = Table("stage", "state", "rows so far", "seconds", counts_column, "folder", box=None)
    for one in standings:
        rows = ", ".join(f"{name} {count}" for name, count in _rows(one.folder).items())
        made = one.manifest
        counts = made.counts if made else {}
        table.add_row(
            one.stage.name,
            one.state + (f" for {', '.join(one.waits_for)}" if one.waits_for else ""),
            rows,
            f"{made.seconds:.1f}" if made else "",
            ", ".join(f"{name} {value}" for name, value in counts.items()),
            str(one.folder or ""),
        )
    _print(table)
    return 0


def check(place: Place, *, as_json: bool) -> int:
    """Checks everything that can be refused early. Returns the exit code.

    Raises: ConfigurationError with a line for each thing that is wrong.
    """
    wanted = _open(place)
    check_all(wanted)
    if as_json:
        _print_json({"name": wanted.config.name, "folder": str(wanted.folder)})
    else:
        sys.stdout.write(f"{place.config}: nothing to refuse\n")
    return 0


def _open(
    place: Place,
    *,
    cluster: RayCluster | None = None,
    progress: Progress | None = None,
) -> Run:
    config = load_config(place.config, place.data)
    return Run(
        config,
        place.out or _default_folder(config),
        stages=load_stages(),
        progress=progress or Progress(),
        cluster=cluster,
    )


def _default_folder(config: Config) -> Path:
    return Path("runs") / config.name


def _print_json(value: object) -> None:
    sys.stdout.write(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n")


def _print(table: Table) -> None:
    # Into a file or a pipe nothing is wrapped.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _rows(folder: Path | None) -> dict[str, int]:
    """Lines of each file of rows in a stage's folder."""
    if folder is None:
        return {}
    counts = {}
    for path in sorted(folder.glob("[!.]*.jsonl")):
        with path.open("rb") as file:
            counts[path.stem] = sum(1 for _ in file)
    return counts


def _standing_fields(standing: Standing) -> dict[str, object]:
    made = standing.manifest
    return {
        "stage": standing.stage.name,
        "state": standing.state,
        "waits_for": standing.waits_for,
        "folder": str(standing.folder) if standing.folder else None,
        "rows": _rows(standing.folder),
        "seconds": made.seconds if made else None,
        "counts": made.counts if made else {},
    }


def _planned_fields(planned: Planned) -> dict[str, object]:
    estimate = planned.estimate
    return {
        "stage": planned.standing.stage.name,
        "state": planned.standing.state,
        "rows": estimate.rows,
        "prompt_tokens": estimate.prompt_tokens,
        "completion_tokens": estimate.completion_tokens,
        "seconds": estimate.seconds,
        "usd": estimate.usd,
        "note": estimate.note,
    }


def _sum(estimates: Iterable[Estimate]) -> Estimate:
    found = list(estimates)
    return Estimate(
        prompt_tokens=sum(one.prompt_tokens for one in found),
        completion_tokens=sum(one.completion_tokens for one in found),
        seconds=sum(one.seconds for one in found),
        usd=sum(one.usd for one in found),
    )


def _cells(estimate: Estimate) -> tuple[str, ...]:
    return (
        _or_none(f"{estimate.rows:,}", estimate.rows),
        _or_none(f"{estimate.prompt_tokens:,}", estimate.prompt_tokens),
        _or_none(f"{estimate.completion_tokens:,}", estimate.completion_tokens),
        _or_none(_duration(estimate.seconds), estimate.seconds),
        _or_none(f"${estimate.usd:,.2f}", estimate.usd),
        estimate.note,
    )


def _or_none(shown: str, value: float) -> str:
    return shown if value else "-"


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), _MINUTES_PER_HOUR)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
