"""The stage that calibrates the gate, with a student and an embedder without models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.evaluation.attempts import question
from tests.unit.training.evaluation.scripted import Room, made_room
from tests.unit.training.stages.evaluation_jobs import config, job
from training.row_file import write_rows
from training.rows import Question
from training.stage import Job
from training.stages.calibrate import STAGE, read_calibration

DEV = [question(number) for number in (1, 5, 9, 20, 30)]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return made_room(monkeypatch)


def _job(tmp_path: Path, dev: list[Question]) -> Job:
    made = job(tmp_path, STAGE)
    write_rows(made.inputs["data"] / "dev.jsonl", list(dev))
    return made


def test_the_threshold_parts_sure_and_right_from_unsure(room: Room, tmp_path: Path) -> None:
    made = _job(tmp_path, DEV)
    counts = STAGE.run(made)
    found = read_calibration(made.folder)
    assert counts == {
        "questions": 5,
        "threshold": round(found.threshold, 4),
        "accuracy": 1.0,
        "direct_share": 0.6,
        "note": found.note,
    }
    assert 0.3 < found.threshold < 0.9
    assert (made.folder / "thresholds.png").read_bytes().startswith(b"\x89PNG")


def test_without_dev_questions_the_papers_threshold_is_written(room: Room, tmp_path: Path) -> None:
    made = _job(tmp_path, [])
    assert STAGE.run(made)["threshold"] == 0.68
    assert not room.prompts
    assert "data.dev_share" in json.loads((made.folder / "thresholds.json").read_text())["note"]


def test_a_killed_calibration_goes_on(room: Room, tmp_path: Path) -> None:
    made = _job(tmp_path, DEV)
    room.breaks_at = 4
    with pytest.raises(KeyboardInterrupt):
        STAGE.run(made)
    assert STAGE.estimate(made).rows == 10 - len(
        (made.folder / "attempts.jsonl").read_text().splitlines()
    )
    room.breaks_at = None
    STAGE.run(made)
    before = len(room.prompts)
    assert read_calibration(made.folder).questions == 5
    STAGE.run(made)
    assert len(room.prompts) == before


def test_a_damaged_dev_question_is_named(room: Room, tmp_path: Path) -> None:
    made = _job(tmp_path, DEV)
    path = made.inputs["data"] / "dev.jsonl"
    path.write_text('{"key": "svamp-1", "dataset": "svamp", "task": "svamp", "text": "?"}\n')
    with pytest.raises(ConfigurationError, match=f"^{path}:1: gold: Field required"):
        STAGE.run(made)


def test_its_key_changes_with_what_answers_depend_on_alone(tmp_path: Path) -> None:
    settings = STAGE.settings(config())
    faster = config(student={"backend": "scripted", "threads": 7, "max_sequences": 2})
    assert STAGE.settings(faster) == settings
    assert STAGE.settings(config(reasoner={"gate_threshold": 0.1})) == settings
    assert STAGE.settings(config(reasoner={"conclude": False})) != settings
    assert STAGE.settings(config(evaluate={"max_new_tokens": 9})) != settings
    assert STAGE.settings(config(knowledge={"lexical_weight": 0.9})) != settings
