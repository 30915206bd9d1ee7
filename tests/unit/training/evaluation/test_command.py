"""`nesycd eval`, as it is typed, with a student without a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer
from typer.testing import CliRunner

from services.common import logs
from services.common.errors import ConfigurationError, NesycdError
from services.common.settings import Settings
from tests.unit.training.evaluation.scripted import Room, made_adapters, made_dump, made_room
from training.eval_cli import app
from training.evaluation.systems import SYSTEMS

NUMBERS = (1, 5, 20)


@pytest.fixture(autouse=True)
def _logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def configure(settings: Settings) -> None:
        # On this test's standard error, which the real one would keep for all later tests.
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))

    monkeypatch.setattr(logs, "configure", configure)
    yield
    structlog.reset_defaults()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setenv("NESYCD_STUDENT__BACKEND", "scripted")
    return made_room(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "svamp.jsonl"
    rows = [
        {
            "id": f"svamp-{number}",
            "dataset": "svamp",
            "task": "svamp",
            "question": f"How many are {number} apples?",
            "choices": [],
            "answer": str(number),
            "rationale": None,
            "source": "test",
        }
        for number in NUMBERS
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, NesycdError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def _evaluated(data: Path, out: Path, *words: object) -> dict[str, Any]:
    text = _run("--profile", "svamp", "--data", data, "--out", out, "--json", *words)
    systems: dict[str, Any] = json.loads(text)["benchmarks"][0]["systems"]
    return systems


def _refused(data: Path, out: Path, *words: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        _evaluated(data, out, *words)
    return raised.value.message


def test_the_bare_model_is_evaluated_without_more(room: Room, data: Path, tmp_path: Path) -> None:
    text = _run("--profile", "svamp", "--data", data, "--out", tmp_path / "out")
    assert "base" in text
    assert f"written to {tmp_path / 'out'}" in text.replace("\n", "")
    assert (tmp_path / "out" / "report.md").is_file()


def test_an_adapter_and_a_dump_of_ones_own_are_evaluated(
    room: Room, data: Path, tmp_path: Path
) -> None:
    adapters, dump = made_adapters(tmp_path / "adapters"), made_dump(tmp_path / "dump")
    (adapters / "se").rename(adapters / "mine")
    found = _evaluated(
        data,
        tmp_path / "out",
        *("--system", "nesycd-always", "--adapters-dir", adapters, "--adapter", "mine"),
        *("--dump", dump),
    )
    assert found["nesycd-always"]["micro"]["accuracy"] == 1.0


def test_systems_and_questions_may_be_added_later(room: Room, data: Path, tmp_path: Path) -> None:
    first = _evaluated(data, tmp_path / "out", "--max-examples", 2)
    assert first["base"]["micro"]["n"] == 2
    adapters = made_adapters(tmp_path / "adapters")
    words = ("--system", "base", "--system", "std-cot", "--adapters-dir", adapters)
    second = _evaluated(data, tmp_path / "out", *words)
    assert [one["micro"]["n"] for one in second.values()] == [3, 3]
    assert len(room.prompts) == 6


@pytest.mark.parametrize(
    ("words", "named"),
    [(("--max-new-tokens", "65"), "max_new_tokens"), ((), "data")],
)
def test_a_folder_made_with_something_else_is_refused(
    words: tuple[str, ...], named: str, room: Room, data: Path, tmp_path: Path
) -> None:
    _evaluated(data, tmp_path / "out", "--max-new-tokens", 64)
    if named == "data":
        data.write_text(data.read_text().replace("apples", "red apples"))
        words = ("--max-new-tokens", "64")
    message = _refused(data, tmp_path / "out", *words)
    assert f"were made with another {named} (" in message


def test_an_unknown_system_is_refused_with_the_known_ones(data: Path, tmp_path: Path) -> None:
    message = _refused(data, tmp_path / "out", "--system", "magic")
    assert message.startswith("--system: there is no 'magic'; there are base, ")


def test_an_unknown_profile_is_refused_with_the_known_ones(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--profile: .*'bbh', .*got 'maths'$"):
        _run("--profile", "maths", "--data", data, "--out", tmp_path / "out")


def test_no_folder_is_refused(data: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--out: name a folder"):
        _run("--profile", "svamp", "--data", data)


def test_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--data, --hub: name either path or hub"):
        _run("--profile", "svamp", "--out", tmp_path / "out")


def test_empty_data_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "empty.jsonl"
    data.touch()
    assert _refused(data, tmp_path / "out") == f"{data} is empty"


def test_a_question_without_gold_is_named(data: Path, tmp_path: Path) -> None:
    data.write_text(data.read_text().replace('"answer": "5", ', ""))
    assert _refused(data, tmp_path / "out").startswith(f"{data}:2: answer: ")


def test_adapters_that_are_not_there_are_refused_before_any_engine(
    data: Path, tmp_path: Path
) -> None:
    message = _refused(data, tmp_path / "out", "--system", "std-cot", "--adapters-dir", tmp_path)
    assert message == "--adapters-dir: adapter: 'sp@v1' is not here: the adapter folder is empty"


@pytest.mark.parametrize("systems", [("base",), ("std-cot", "nesycd-never")])
def test_one_adapter_cannot_stand_for_none_or_two(
    systems: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    words = [word for name in systems for word in ("--system", name)]
    message = _refused(data, tmp_path / "out", *words, "--adapter", "mine@v1")
    assert message.startswith("--adapter: 'mine@v1' cannot stand for all adapters")


def test_a_threshold_that_is_none_is_refused(data: Path, tmp_path: Path) -> None:
    message = _refused(data, tmp_path / "out", "--threshold", "1.5")
    assert message == "--threshold: 1.5 is not between 0 and 1"


def test_all_systems_are_listed() -> None:
    assert set(json.loads(_run("--list", "--json"))) == set(SYSTEMS)
    assert all(name in _run("--list") for name in SYSTEMS)


def test_the_help_has_an_example_that_parses() -> None:
    command = typer.main.get_command(app)
    assert command.epilog is not None
    words = command.epilog.removeprefix("Example: nesycd eval ").split()
    assert command.make_context("eval", words).params["profile"] == "bbh"
