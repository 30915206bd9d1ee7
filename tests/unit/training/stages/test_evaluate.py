"""The stage that evaluates, with a student and an embedder without models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.common import prompts
from services.common.errors import ConfigurationError
from tests.unit.training.evaluation.attempts import question
from tests.unit.training.evaluation.scripted import Room, made_room
from tests.unit.training.stages.evaluation_jobs import config, job
from training.evaluation.results import Results
from training.evaluation.sweep import Calibration
from training.manifest import StageManifest, write_manifest
from training.row_file import write_rows
from training.stage import Job
from training.stages.evaluate import STAGE

TEST = [question(number) for number in (1, 5, 20)]
SYSTEMS = ("base", "std-cot", "nesycd-never", "nesycd-always", "nesycd-adaptive")


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return made_room(monkeypatch)


@pytest.fixture
def made(tmp_path: Path) -> Job:
    made = job(tmp_path, STAGE)
    write_rows(made.inputs["data"] / "test.jsonl", list(TEST))
    calibration = Calibration(threshold=0.5, questions=5, note="by hand")
    (made.inputs["calibrate"] / "thresholds.json").write_text(calibration.model_dump_json())
    return made


def test_every_system_is_scored_with_the_adapters_of_both_fits(room: Room, made: Job) -> None:
    assert STAGE.run(made) == {
        "svamp/base": 0.0,
        "svamp/std-cot": 0.0,
        "svamp/nesycd-never": 0.0,
        "svamp/nesycd-always": 1.0,
        "svamp/nesycd-adaptive": 1.0,
    }
    names = {path.name for path in made.folder.iterdir() if not path.name.startswith(".")}
    assert names == {"attempts.jsonl", "results.json", "report.md", "accuracy.png"}
    results = Results.model_validate_json((made.folder / "results.json").read_bytes())
    assert (results.threshold, results.calibration) == (0.5, "by hand")
    (svamp,) = results.benchmarks
    shares = svamp.systems["nesycd-adaptive"].decisions
    assert {name: share.n for name, share in shares.items()} == {
        "direct": 2,
        "reason_with_knowledge": 1,
    }
    assert "Gate: threshold 0.500; by hand." in (made.folder / "report.md").read_text()


def test_a_killed_evaluation_goes_on(room: Room, made: Job) -> None:
    room.breaks_at = 5
    with pytest.raises(KeyboardInterrupt):
        STAGE.run(made)
    present = len((made.folder / "attempts.jsonl").read_text().splitlines())
    assert STAGE.estimate(made).rows == len(SYSTEMS) * len(TEST) - present
    room.breaks_at = None
    STAGE.run(made)
    written = [line for line in (made.folder / "attempts.jsonl").read_text().splitlines() if line]
    assert len(written) == len(SYSTEMS) * len(TEST)


def test_a_run_folder_that_was_moved_is_gone_on_with(room: Room, made: Job, tmp_path: Path) -> None:
    STAGE.run(made)
    (made.folder / "attempts.jsonl").unlink()
    moved = tmp_path / "moved"
    moved.mkdir()
    for folder in {made.folder, *made.inputs.values()}:
        folder.rename(moved / folder.name)
    inputs = {name: moved / name for name in made.inputs}
    there = Job(made.config, moved / made.folder.name, inputs, made.progress)
    assert STAGE.run(there)["svamp/nesycd-always"] == 1.0


def test_no_test_question_is_refused(room: Room, made: Job) -> None:
    write_rows(made.inputs["data"] / "test.jsonl", [])
    with pytest.raises(ConfigurationError) as raised:
        STAGE.run(made)
    assert raised.value.message == "data.test: there is no question to evaluate on"


def test_its_key_has_the_systems_and_what_was_trained_on() -> None:
    settings = STAGE.settings(config())
    assert settings["systems"] == list(SYSTEMS)
    assert settings["trained_on"] == ["svamp"]
    assert STAGE.settings(config(evaluate={"systems": ["base"], "max_new_tokens": 64})) != settings


def _manifest(folder: Path, stage: str, settings: dict[str, object], **inputs: str) -> str:
    made = StageManifest(
        stage=stage,
        key="k",
        settings=settings,
        files={},
        inputs=inputs,
        prompts=prompts.VERSION,
        outputs={"of": stage},
        counts={},
        seconds=1,
        packages={},
        machine="m",
        code="c",
    )
    write_manifest(folder, made)
    return made.checksum


def test_answers_of_an_earlier_evaluation_are_taken_over_where_nothing_differs(
    room: Room, made: Job
) -> None:
    inputs = {name: _manifest(path, name, {}) for name, path in made.inputs.items()}
    earlier = made.folder.rename(made.folder.with_name("evaluate-1"))
    first = config(evaluate={"systems": ["base", "nesycd-never"], "max_new_tokens": 64})
    STAGE.run(replace(made, folder=earlier, config=first))
    # S_E was fitted anew since; the bare model is what it was.
    _manifest(earlier, "evaluate", STAGE.settings(first), **(inputs | {"fit-se": "another"}))
    later = earlier.with_name("evaluate-2")
    later.mkdir()
    before = len(room.prompts)
    second = config(evaluate={"systems": ["base", "nesycd-never", "std-cot"], "max_new_tokens": 64})
    STAGE.run(replace(made, folder=later, config=second))
    assert len(room.prompts) - before == 2 * len(TEST)


def test_answers_of_an_evaluation_with_other_settings_are_not_taken_over(
    room: Room, made: Job
) -> None:
    inputs = {name: _manifest(path, name, {}) for name, path in made.inputs.items()}
    earlier = made.folder.rename(made.folder.with_name("evaluate-1"))
    first = config(evaluate={"systems": ["base"], "max_new_tokens": 64})
    STAGE.run(replace(made, folder=earlier, config=first))
    _manifest(earlier, "evaluate", STAGE.settings(first), **inputs)
    later = earlier.with_name("evaluate-2")
    later.mkdir()
    before = len(room.prompts)
    second = config(evaluate={"systems": ["base"], "max_new_tokens": 32})
    STAGE.run(replace(made, folder=later, config=second))
    assert len(room.prompts) - before == len(TEST)
