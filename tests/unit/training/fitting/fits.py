"""Fits of a tiny random student, each in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.config import FitConfig
from training.fitting.fit import fit_adapter
from training.fitting.losses import Loss
from training.fitting.spec import FitResult, FitSpec
from training.progress import Progress
from training.row_file import read_rows, write_rows
from training.rows import Example, Task

FAST = FitConfig(
    epochs=1,
    rank=8,
    alpha=16,
    micro_batch_size=8,
    precision="float32",
    learning_rate=1e-2,
    warmup_share=0,  # the first update of a warm-up is made with a rate of 0
)


def example(key: str, prompt: str, completion: str, *, task: Task = "DC", weight: float = 1):
    return Example(
        key=f"{task}/{key}",
        task=task,
        question=key,
        prompt=prompt,
        completion=completion,
        weight=weight,
    )


def mixed(count: int) -> list[Example]:
    """Of all three tasks in turn, of many lengths; completions have at least two tokens."""
    tasks: tuple[Task, ...] = ("AD", "AP", "DC")
    return [
        example(
            str(number),
            "ask " * (1 + number % 5),
            " 7" if number % 3 == 1 else " so" * (1 + number % 7),
            task=tasks[number % 3],
        )
        for number in range(count)
    ]


class Fits:
    """Runs fits in folders of one test."""

    def __init__(self, student: Path, folder: Path) -> None:
        self.student = student
        self.folder = folder

    def spec(self, name: str = "sp", *, start: Path | None = None, **changes: Any) -> FitSpec:
        return FitSpec(
            student=str(self.student),
            base_name="tiny",
            name=name,
            version="v1",
            fit=FitConfig.model_validate(FAST.model_dump() | changes),
            seed=3,
            start_adapter=start,
        )

    def examples(self, rows: Sequence[Example]) -> Path:
        path = self.folder / "examples.jsonl"
        write_rows(path, list(rows))
        return path

    def run(
        self,
        rows: Sequence[Example],
        out: str = "out",
        *,
        progress: Progress | None = None,
        **of: Any,
    ) -> FitResult:
        examples, folder = self.examples(rows), self.folder / out
        return fit_adapter(examples, self.spec(**of), folder, progress or Progress(quiet=True))

    def adapter(self, out: str = "out", name: str = "sp") -> Path:
        return self.folder / out / "adapters" / name / "v1"

    def weights(self, out: str = "out", name: str = "sp") -> dict[str, Any]:
        from safetensors.torch import load_file

        return load_file(self.adapter(out, name) / "adapter_model.safetensors")

    def losses(self, out: str = "out") -> list[Loss]:
        return list(read_rows(self.folder / out / "losses.jsonl", Loss))
