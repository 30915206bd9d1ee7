"""Checkpoints of a fit: only whole ones count."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_WHOLE: Final = "whole"
"""Empty file, written when all processes have written theirs."""


def mark_whole(folder: Path, step: int) -> None:
    """Says that the checkpoint of an update is whole. Raises: OSError."""
    (folder / f"checkpoint-{step}" / _WHOLE).touch()


def step_of(checkpoint: Path) -> int:
    """The update that a checkpoint was written after."""
    return int(checkpoint.name.rpartition("-")[2])


def last_whole(folder: Path) -> Path | None:
    """The newest whole checkpoint."""
    whole = (path.parent for path in folder.glob(f"checkpoint-*/{_WHOLE}"))
    return max(whole, key=step_of, default=None)


def drop_torn(folder: Path) -> None:
    """Deletes what a killed process left half-written."""
    for path in folder.glob("checkpoint-*"):
        if not (path / _WHOLE).exists():
            shutil.rmtree(path)
