"""Two small stages, for tests of the core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from services.common.errors import NesycdError
from training.config import Config
from training.inference import work_through
from training.manifest import Value
from training.progress import Progress
from training.row_file import Row, RowFile, read_rows, write_rows
from training.run import Run
from training.stage import Estimate, Job

COUNT = 40


class Number(Row):
    value: int


class Squaring:
    """A worker that takes a moment for each row."""

    def __init__(self, *, seconds: float = 0.002, failing: Callable[[str], str] = lambda _: ""):
        self.seconds = seconds
        self.failing = failing
        self.closed = 0

    async def open(self) -> None:
        pass

    async def __call__(self, item: Number, /) -> Number:
        await asyncio.sleep(self.seconds)
        if said := self.failing(item.key):
            raise NesycdError(said)
        return Number(key=item.key, value=item.value**2)

    async def close(self) -> None:
        self.closed += 1


class Squares:
    """Makes squares.jsonl, a row at a time."""

    name = "squares"
    needs: tuple[str, ...] = ()

    def __init__(self, worker: Squaring | None = None) -> None:
        self.worker = worker or Squaring()
        self.runs = 0

    def settings(self, config: Config) -> dict[str, object]:
        return {"seed": config.seed}

    def files(self, config: Config) -> tuple[Path, ...]:
        path = config.data.train[0].path
        assert path is not None
        return (path,)

    def estimate(self, job: Job) -> Estimate:  # noqa: ARG002 - a stage's signature
        return Estimate(rows=COUNT)

    def run(self, job: Job) -> dict[str, Value]:
        self.runs += 1
        items = [Number(key=f"n{number}", value=number) for number in range(COUNT)]
        with RowFile(job.folder / "squares.jsonl", Number) as rows:
            left = [item for item in items if item.key not in rows.present]
            with job.progress.bar("squares", COUNT, done=len(rows.present)) as advance:
                work_through(
                    left,
                    self.worker,
                    rows,
                    in_flight=4,
                    advance=advance,
                    cluster=job.cluster,
                )
        return {"rows": COUNT}


class Sorted:
    """Makes sorted.jsonl of what `Squares` made."""

    name = "sorted"
    needs = ("squares",)

    def __init__(self) -> None:
        self.runs = 0

    def settings(self, config: Config) -> dict[str, object]:
        return {"name": config.name}

    def files(self, config: Config) -> tuple[Path, ...]:  # noqa: ARG002 - as above
        return ()

    def estimate(self, job: Job) -> Estimate:  # noqa: ARG002 - a stage's signature
        return Estimate(rows=COUNT)

    def run(self, job: Job) -> dict[str, Value]:
        self.runs += 1
        rows = read_rows(job.inputs["squares"] / "squares.jsonl", Number)
        count = write_rows(job.folder / "sorted.jsonl", sorted(rows, key=lambda row: row.value))
        return {"rows": count}


def toy_config(folder: Path, **changes: object) -> Config:
    """A configuration whose one file is in the folder."""
    data = folder / "data.jsonl"
    if not data.exists():
        data.write_text("{}\n")
    return Config.model_validate(
        {
            "name": "toy",
            "data": {"train": [{"profile": "bbh", "path": data}]},
            "teach": {"teacher": {"kind": "scripted"}},
            "distil": {"teacher": {"kind": "scripted"}},
        }
        | changes
    )


def toy_run(folder: Path, *stages: Squares | Sorted, **changes: object) -> Run:
    """A run in FOLDER/run."""
    return Run(
        toy_config(folder, **changes),
        folder / "run",
        stages=stages or (Squares(), Sorted()),
        progress=Progress(quiet=True),
    )
