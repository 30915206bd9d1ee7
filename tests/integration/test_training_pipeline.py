"""The whole of `nesycd train`: from a teacher's rationales to a package that is served.

A tiny random student is really fitted and really asked; its teacher of rationales is a file,
that of knowledge a script. What it learns is nothing, how it learns is everything.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.student.adapters import AdapterCatalog, BaseShape, read_weight_shapes
from tests.tiny_models import HIDDEN_SIZE, LAYERS, build_model
from training.manifest import MANIFEST
from training.row_file import read_rows
from training.rows import Attempt, Example, Lesson, Question, Rationale
from training.stages import STAGES

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "training" / "configs"
CONTEXT = 2048

CONFIG = """
name = "tiny"
in_flight = 8

[student]
backend = "transformers"
model = "./model"
dtype = "float32"
max_model_len = {context}
max_sequences = 8
threads = 1

[reasoner]
direct_max_new_tokens = 8

[data]
train = [{{profile = "svamp", path = "trial-train.jsonl"}}]
test = [{{profile = "svamp", path = "trial-test.jsonl"}}]
dev_share = 0.2

[teach.teacher]
kind = "recorded"
paths = ["trial-train.jsonl"]

[distil]
max_errors = 6

[distil.teacher]
kind = "scripted"

[fit_sp]
epochs = 1
rank = 8
alpha = 16
save_steps = 1
micro_batch_size = 8

[mine]
max_new_tokens = 16

[fit_se]
epochs = 0.5
rank = 8
alpha = 16
save_steps = 1
micro_batch_size = 8

[evaluate]
systems = ["base", "std-cot", "nesycd-never", "nesycd-always", "nesycd-adaptive", "nesycd-gold"]
max_new_tokens = 16

[package]
adapter = "tiny"
release = "tiny-1"
"""


def _nesycd(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        cwd=ROOT,
        env=os.environ | {"NESYCD_STUDENT__MODEL": "owner/not-this-one"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    build_model(folder / "model", context=CONTEXT)
    for part in ("train", "test"):
        shutil.copy(CONFIGS / f"trial-{part}.jsonl", folder)
    path = folder / "tiny.toml"
    path.write_text(CONFIG.format(context=CONTEXT))
    return path


@pytest.fixture(scope="module")
def folders(config: Path) -> dict[str, Path]:
    """The finished stages of a run that was killed again and again before it was let go on."""
    out = config.parent / "run"
    for stage in ("filter", "fit-sp", "mine", "fit-se"):
        assert _end_in(stage, config, out)[0] == -signal.SIGKILL
    _nesycd("train", "run", config, "--out", out, "--quiet")
    return {one["stage"]: Path(one["folder"]) for one in _status(config, out)}


def _end_in(
    stage: str, config: Path, out: Path, how: signal.Signals = signal.SIGKILL
) -> tuple[int, str]:
    """Ends a run as soon as a stage has begun. Returns its exit code and what it said."""
    before = set(out.glob(f"{stage}-*"))
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "train", stage, config, "--out", out],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    ends = time.monotonic() + 300
    while before.issuperset(out.glob(f"{stage}-*")) and process.poll() is None:
        assert time.monotonic() < ends
        time.sleep(0.01)
    os.killpg(process.pid, how)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def _status(config: Path, out: Path) -> list[dict[str, Any]]:
    said = _nesycd("train", "status", config, "--out", out, "--json").stdout
    found: list[dict[str, Any]] = json.loads(said)
    return found


def _keys(rows: Sequence[Any]) -> list[str]:
    return [row.key for row in rows]


def test_every_stage_is_done(config: Path, folders: dict[str, Path]) -> None:
    standings = _status(config, config.parent / "run")
    assert [one["stage"] for one in standings] == [entry.name for entry in STAGES]
    assert {one["state"] for one in standings} == {"done"}


def test_no_row_was_lost_or_doubled_by_the_kills(folders: dict[str, Path]) -> None:
    train = _keys(list(read_rows(folders["data"] / "train.jsonl", Question)))
    dev = _keys(list(read_rows(folders["data"] / "dev.jsonl", Question)))
    assert len(train) + len(dev) == 24
    kept = list(read_rows(folders["filter"] / "kept.jsonl", Rationale))
    assert sorted(row.question for row in kept) == sorted(train)
    attempts = (folders["mine"] / "attempts.jsonl").read_bytes().splitlines()
    assert sorted(json.loads(line)["key"] for line in attempts) == sorted(train)


def test_knowledge_was_made_of_errors_and_found_by_other_questions(
    folders: dict[str, Path],
) -> None:
    errors = list(read_rows(folders["mine"] / "errors.jsonl", Attempt))
    lessons = list(read_rows(folders["distil-knowledge"] / "lessons.jsonl", Lesson))
    assert errors
    assert {lesson.question for lesson in lessons} <= {error.question for error in errors}
    examples = list(read_rows(folders["mix"] / "examples.jsonl", Example))
    assert {example.task for example in examples} == {"AD", "AP", "DC"}


def test_every_system_was_asked_every_test_question(folders: dict[str, Path]) -> None:
    attempts = list(read_rows(folders["evaluate"] / "attempts.jsonl", Attempt))
    assert len(attempts) == 6 * 4
    assert (folders["evaluate"] / "report.md").read_text()
    with_knowledge = [one for one in attempts if one.key.startswith("nesycd-always/")]
    assert all(one.decision == "reason_with_knowledge" for one in with_knowledge)


def test_the_service_takes_the_package(config: Path, folders: dict[str, Path]) -> None:
    model = config.parent / "model"
    base = BaseShape(HIDDEN_SIZE, LAYERS, read_weight_shapes(model))
    catalog = AdapterCatalog(folders["package"] / "adapters", max_rank=32, base=base)
    [adapter] = catalog.scan()
    assert (adapter.ref, adapter.refusal) == ("tiny@v1", "")
    said = _nesycd("kb", "verify", folders["package"] / "dump", "--json").stdout
    assert json.loads(said)["release"] == "tiny-1"


def test_a_second_run_does_nothing(config: Path, folders: dict[str, Path]) -> None:
    times = {path: path.stat().st_mtime_ns for path in folders["data"].parent.rglob(MANIFEST)}
    done = _nesycd("train", "run", config, "--out", folders["data"].parent)
    assert [line for line in done.stderr.splitlines() if line] == [
        f"{entry.name}: done before" for entry in STAGES
    ]
    after = {path: path.stat().st_mtime_ns for path in folders["data"].parent.rglob(MANIFEST)}
    assert after == times


def test_what_changes_only_the_report_runs_only_the_report(
    config: Path, folders: dict[str, Path]
) -> None:
    other = config.with_name("other.toml")
    other.write_text(config.read_text().replace(', "nesycd-gold"]', "]"))
    standings = _status(other, folders["data"].parent)
    waiting = [one["stage"] for one in standings if one["state"] != "done"]
    assert waiting == ["evaluate"]


def test_ctrl_c_says_one_line_and_the_same_command_goes_on(
    config: Path, folders: dict[str, Path]
) -> None:
    other = config.with_name("other.toml")
    other.write_text(config.read_text().replace("epochs = 0.5", "epochs = 0.6"))
    out = folders["data"].parent
    code, said = _end_in("fit-se", other, out, signal.SIGINT)
    assert code == 130
    assert said.splitlines()[-2:] == [
        "fit-se ...",
        f"nesycd: stopped; all that was made is kept in {out}, and the same command goes on",
    ]
    assert "fit-se (going on) ..." in _nesycd("train", "fit-se", other, "--out", out).stderr


def test_the_plan_of_a_finished_run_costs_nothing(config: Path, folders: dict[str, Path]) -> None:
    out = folders["data"].parent
    said = _nesycd("train", "run", config, "--out", out, "--dry-run", "--json").stdout
    assert {one["note"] for one in json.loads(said)} == {"nothing to do"}


def test_the_plan_of_a_fresh_run_names_every_stage_and_makes_nothing(config: Path) -> None:
    out = config.parent / "fresh"
    said = _nesycd("train", "run", config, "--out", out, "--dry-run", "--json").stdout
    planned = {one["stage"]: one for one in json.loads(said)}
    assert list(planned) == [entry.name for entry in STAGES]
    assert planned["mine"]["rows"] > 0
    assert planned["fit-sp"]["seconds"] > 0
    assert not out.exists()
