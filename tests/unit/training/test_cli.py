"""`nesycd train` on the trial configuration; no model is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from services.common.errors import ConfigurationError
from training import commands
from training.cli import app
from training.evaluation.systems import SYSTEMS
from training.run import Run
from training.stages import STAGES, load_stages

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "training" / "configs"
TRIAL = CONFIGS / "trial.toml"
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def _train(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _printed(*arguments: str | Path) -> Any:
    result = _train(*arguments, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """The trial configuration, with an endpoint as its second teacher."""
    for path in CONFIGS.glob("trial*"):
        text = path.read_text().replace(
            '[distil.teacher]\nkind = "scripted"',
            '[distil.teacher]\nkind = "endpoint"\nbase_url = "http://teacher/v1"\nmodel = "m"\n'
            'key_variable = "TEACHER_KEY"\nusd_per_million_in = 100\nusd_per_million_out = 400',
        )
        (tmp_path / path.name).write_text(text)
    return tmp_path / TRIAL.name


def test_every_stage_is_a_command_of_its_own() -> None:
    assert list(COMMANDS) == [
        "run",
        "status",
        "check",
        "systems",
        *(entry.name for entry in STAGES),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.epilog.startswith(f"Example: nesycd train {name}")
    assert all(option.help for option in command.params if option.name != "help")


def test_the_table_of_stages_is_that_of_the_stages() -> None:
    stages = load_stages()
    assert [stage.name for stage in stages] == [entry.name for entry in STAGES]
    seen: set[str] = set()
    for stage in stages:
        assert seen.issuperset(stage.needs), stage.name
        seen.add(stage.name)


def test_the_documentation_has_a_row_for_every_stage() -> None:
    text = (ROOT / "docs" / "training.md").read_text()
    assert [entry.name for entry in STAGES if f"| `{entry.name}` |" not in text] == []


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_configurations_that_come_with_it_are_valid(path: Path) -> None:
    assert commands.load_config(path).name == path.stem


def test_check_finds_nothing_wrong_with_the_trial() -> None:
    result = _train("check", TRIAL)
    assert (result.exit_code, result.stdout) == (0, f"{TRIAL}: nothing to refuse\n")


def test_data_says_where_relative_paths_start(tmp_path: Path) -> None:
    elsewhere = shutil.copy(TRIAL, tmp_path)
    with pytest.raises(ConfigurationError, match=r"trial-train\.jsonl"):
        _train("check", elsewhere)
    result = _train("check", elsewhere, "--data", CONFIGS)
    assert (result.exit_code, result.stdout) == (0, f"{elsewhere}: nothing to refuse\n")


def test_check_names_all_that_is_wrong_at_once(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    text = trial.read_text().replace('backend = "scripted"', 'model = "./nowhere"')
    trial.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        _train("check", trial)
    student, key = raised.value.message.splitlines()
    assert student.startswith("student: student.model: ")
    assert str(trial.parent / "nowhere") in student
    assert "TEACHER_KEY" in key


@pytest.mark.parametrize("command", ["run", "data", "package", "check"])
def test_what_check_refuses_no_command_begins(
    trial: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    out = trial.parent / "run"
    with pytest.raises(ConfigurationError, match="TEACHER_KEY"):
        _train(command, trial, "--out", out)
    assert not out.exists()


def test_a_file_that_is_not_there_is_refused_first(trial: Path) -> None:
    (trial.parent / "trial-train.jsonl").unlink()
    with pytest.raises(ConfigurationError, match=r"trial-train.jsonl cannot be read"):
        _train("check", trial)


def test_a_stage_alone_runs_what_it_needs(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "x")
    out = trial.parent / "run"
    result = _train("filter", trial, "--out", out, "--quiet")
    assert result.stdout.startswith(f"{out / 'filter-'}")
    states = {one["stage"]: one["state"] for one in _printed("status", trial, "--out", out)}
    assert [name for name, state in states.items() if state == "done"] == [
        "data",
        "teach",
        "filter",
    ]
    assert states["fit-sp"] == "ready"
    assert states["mine"] == "waiting"


def test_status_says_rows_counts_and_folder(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "x")
    out = trial.parent / "run"
    _train("data", trial, "--out", out, "--quiet")
    status = {one["stage"]: one for one in _printed("status", trial, "--out", out)}
    data = status["data"]
    assert sum(data["rows"].values()) == 12
    assert data["counts"]["test"] == 4
    assert Path(data["folder"]).is_dir()
    assert status["teach"]["folder"] is not None
    assert status["mine"] == {
        "stage": "mine",
        "state": "waiting",
        "waits_for": ["filter", "fit-sp"],
        "folder": None,
        "rows": {},
        "seconds": None,
        "counts": {},
    }
    shown = _train("status", trial, "--out", out).stdout
    assert "waiting for filter, fit-sp" in shown
    assert data["folder"] in shown


def test_the_plan_estimates_every_stage_and_makes_nothing(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHER_KEY", "x")
    out = trial.parent / "run"
    planned = {one["stage"]: one for one in _printed("run", trial, "--out", out, "--dry-run")}
    assert list(planned) == [entry.name for entry in STAGES]
    assert planned["teach"]["rows"] == 7
    assert planned["mine"]["rows"] == 7
    assert planned["evaluate"]["rows"] == 4 * 5
    assert planned["fit-sp"]["seconds"] > 0
    distil = planned["distil-knowledge"]
    assert distil["usd"] == pytest.approx(
        distil["prompt_tokens"] / 1e4 + distil["completion_tokens"] / 2500
    )
    assert not out.exists()
    assert "total" in _train("run", trial, "--out", out, "--dry-run").stdout


def test_the_plan_of_a_stage_ends_with_it(trial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "x")
    planned = _printed("filter", trial, "--out", trial.parent / "run", "--dry-run")
    assert [one["stage"] for one in planned] == ["data", "teach", "filter"]


def test_what_is_done_costs_nothing_in_the_plan(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHER_KEY", "x")
    out = trial.parent / "run"
    _train("teach", trial, "--out", out, "--quiet")
    planned = {one["stage"]: one for one in _printed("run", trial, "--out", out, "--dry-run")}
    assert planned["teach"]["note"] == "nothing to do"
    assert planned["filter"]["state"] == "ready"


def test_the_run_folder_has_the_name_of_the_configuration(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trial.parent)
    monkeypatch.setenv("TEACHER_KEY", "x")
    _train("data", trial, "--quiet")
    assert list((trial.parent / "runs" / "trial").glob("data-*/manifest.json"))


def test_ctrl_c_ends_with_one_line_and_exit_code_130(
    trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("TEACHER_KEY", "x")
    monkeypatch.setattr(Run, "run", interrupted)
    out = trial.parent / "run"
    result = _train("run", trial, "--out", out)
    assert (result.exit_code, result.stdout, result.stderr) == (
        130,
        "",
        f"nesycd: stopped; all that was made is kept in {out}, and the same command goes on\n",
    )


def test_systems_lists_those_that_can_be_evaluated() -> None:
    assert list(_printed("systems")) == list(SYSTEMS)


def test_a_wrong_configuration_ends_with_exit_code_2_and_one_line(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("name = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "train", "check", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"nesycd: {path}: name: ")
