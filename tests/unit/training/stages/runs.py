"""Jobs of single stages over folders that a test fills."""

from __future__ import annotations

from pathlib import Path

from training.config import Config
from training.progress import Progress
from training.row_file import Row, write_rows
from training.stage import Job

FOLDERS = ("data", "filter", "fit-sp", "mine", "distil-knowledge", "check-knowledge")


def config(folder: Path, **sections: object) -> Config:
    """A configuration without models."""
    values = {
        "name": "test",
        "student": {"backend": "scripted"},
        "data": {"train": [{"profile": "bbh", "path": str(folder / "train.jsonl")}]},
        "teach": {"teacher": {"kind": "scripted"}},
        "distil": {"teacher": {"kind": "scripted"}},
    }
    for name, section in sections.items():
        old = values.get(name)
        values[name] = old | section if isinstance(old, dict) else section
    return Config.model_validate(values)


def job(folder: Path, name: str, **sections: object) -> Job:
    """A job of a stage in a run folder."""
    for needed in (*FOLDERS, name):
        (folder / needed).mkdir(exist_ok=True)
    return Job(
        config=config(folder, **sections),
        folder=folder / name,
        inputs={needed: folder / needed for needed in FOLDERS},
        progress=Progress(quiet=True),
    )


def give(folder: Path, name: str, rows: list[Row]) -> None:
    """Writes an input such as "data/train.jsonl"."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    write_rows(path, rows)
