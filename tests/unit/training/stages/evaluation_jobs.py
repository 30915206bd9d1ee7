"""Jobs of the last stages: their inputs as the stages before leave them, a quiet progress."""

from __future__ import annotations

from pathlib import Path

from tests.tiny_models import write_adapter
from tests.unit.training.evaluation.scripted import made_dump
from training.config import Config
from training.progress import Progress
from training.stage import Job, Stage

_CONFIG: dict[str, object] = {
    "name": "apples",
    "in_flight": 1,
    "student": {"backend": "scripted"},
    "data": {"train": [{"profile": "svamp", "path": "train.jsonl"}]},
    "teach": {"teacher": {"kind": "scripted"}},
    "distil": {"teacher": {"kind": "scripted"}},
    "evaluate": {"max_new_tokens": 64},
}


def config(**changes: object) -> Config:
    """A run without models."""
    return Config.model_validate(_CONFIG | changes)


def job(tmp_path: Path, stage: Stage, **changes: object) -> Job:
    """A job of a stage, with a folder for each stage it needs."""
    folder = tmp_path / stage.name
    folder.mkdir()
    inputs = {name: tmp_path / name for name in stage.needs}
    for name, path in inputs.items():
        path.mkdir()
        if name == "check-knowledge":
            made_dump(path / "dump")
        if name in {"fit-sp", "fit-se"}:
            write_adapter(path / "adapters", f"{name.removeprefix('fit-')}@v1")
    return Job(
        config=config(**changes), folder=folder, inputs=inputs, progress=Progress(quiet=True)
    )
