"""Folds: which questions are answered by a student that was fitted on the others."""

from __future__ import annotations

from collections.abc import Iterable

from training.data.draws import place
from training.rows import Question


def assign_folds(questions: Iterable[Question], folds: int, *, seed: int) -> dict[str, int]:
    """The fold of each question by key, from 0; of each task about equally many in every fold.

    Args:
        questions: all of them.
        folds: how many, at least 2.
        seed: of the run.
    """
    by_task: dict[str, list[str]] = {}
    for question in questions:
        by_task.setdefault(question.task, []).append(question.key)
    order = [
        key
        for task in sorted(by_task)
        for key in sorted(by_task[task], key=lambda key: place(key, salt="fold", seed=seed))
    ]
    # Counted on over the tasks: small ones would all begin with fold 0.
    return {key: number % folds for number, key in enumerate(order)}
