"""Runs of the stages data, teach and filter, on a few questions of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.unit.training.data.questions import record, write
from training.config import Config
from training.manifest import StageManifest
from training.progress import Progress
from training.run import Run, Standing
from training.stages.data import STAGE as DATA
from training.stages.filter import STAGE as FILTER
from training.stages.teach import STAGE as TEACH

RATIONALE = "We walk back. So the answer is No."


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class FirstStages:
    """A run folder, and the files that its configuration names."""

    def __init__(self, folder: Path, *, questions: int = 6) -> None:
        self.folder = folder
        self.train = write(folder / "train.jsonl", *map(record, range(1, questions + 1)))
        self.test = write(folder / "test.jsonl", record(90), record(91))
        self.recorded = folder / "recorded.jsonl"
        self.write_recorded(lambda _: RATIONALE)

    def write_recorded(self, text: Callable[[int], str | None]) -> None:
        """A rationale for each question of the train file; None leaves it out."""
        texts = {one["id"]: text(number) for number, one in enumerate(rows(self.train), 1)}
        write(
            self.recorded,
            *({"id": key, "rationale": one, "teacher": "d"} for key, one in texts.items() if one),
        )

    def config(self, teacher: Mapping[str, Any] | None = None, **changes: Any) -> Config:
        source = {"profile": "bbh"}
        values = {
            "name": "trial",
            "data": {
                "train": [{**source, "path": self.train}],
                "test": [{**source, "path": self.test}],
                "dev_share": 0,
            },
            "teach": {"teacher": teacher or {"kind": "recorded", "paths": [self.recorded]}},
            "distil": {"teacher": {"kind": "scripted"}},
        }
        for section, inner in changes.items():
            values[section] = values.get(section, {}) | inner if isinstance(inner, dict) else inner
        return Config.model_validate(values)

    def of(self, config: Config | None = None) -> Run:
        return Run(
            config or self.config(),
            self.folder / "run",
            stages=(DATA, TEACH, FILTER),
            progress=Progress(quiet=True),
        )

    def run(self, last: str, config: Config | None = None) -> dict[str, Standing]:
        return self.of(config).run(last)

    def result(self, last: str, config: Config | None = None) -> tuple[Path, StageManifest]:
        """The folder of a finished stage, and its manifest."""
        standing = self.run(last, config)[last]
        assert standing.folder
        assert standing.manifest
        return standing.folder, standing.manifest
