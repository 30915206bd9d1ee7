"""losses.jsonl: one row per update."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from pydantic import Field

from training.row_file import Row, read_rows, write_rows
from training.rows import Task

TASKS: Final[tuple[Task, ...]] = get_args(Task)


class Loss(Row):
    """The loss of one update; `key` is its number."""

    step: int = Field(ge=1, description="Number of the update.")
    epoch: float = Field(description="Passes over the examples so far.")
    learning_rate: float = Field(description="That the update was made with.")
    loss: float = Field(description="Weighted mean of the update, as loss_reduction says; nats.")
    tasks: dict[Task, float] = Field(
        description="Mean over the tokens of each training task in the update, without weights."
    )
    gradient_norm: float = Field(description="Before it was clipped.")
    tokens_per_s: float = Field(description="Prompt and completion tokens, padding left out.")


def drop_after(path: Path, step: int) -> None:
    """Takes out the rows of updates that a resumed fit makes again."""
    if path.exists():
        write_rows(path, [row for row in read_rows(path, Loss) if row.step <= step])


def mean_loss(rows: Sequence[Loss]) -> float:
    """Mean over updates; at least one."""
    return sum(row.loss for row in rows) / len(rows)


def mean_task_losses(rows: Sequence[Loss]) -> dict[Task, float]:
    """Mean of each task over the updates that hold it."""
    found = {task: [row.tasks[task] for row in rows if task in row.tasks] for task in TASKS}
    return {task: sum(values) / len(values) for task, values in found.items() if values}
