from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kb_loader.cli import app
from services.common.errors import ConfigurationError
from services.knowledge.fake import HashEmbedder
from tests.unit.kb_loader.test_dump import line, write

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NESYCD_KNOWLEDGE__PATH", str(tmp_path / "store" / "knowledge.db"))
    monkeypatch.setattr("services.knowledge.embedder.open_embedder", lambda _: HashEmbedder())

    def run(*args: object) -> str:
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dump"
    folder.mkdir()
    write(folder, *(line(id=f"n{i:03}", question=f"question {i}") for i in range(150)))
    return folder


def test_a_hand_made_folder_becomes_the_active_release(run: Run, folder: Path) -> None:
    assert run("releases") == "no releases; load one with: nesycd kb load DIR\n"
    out = run("manifest", folder, "--release", "r1")
    assert out == f"wrote {folder / 'manifest.json'}: release r1, 150 notes\n"
    out = run("verify", folder)
    assert out == f"{folder}: release r1, 150 notes, no problems\n  ages: 150\n"
    assert run("load", folder) == "release r1: 150 notes, loaded, active\n"
    assert run("load", folder) == "release r1: 150 notes, was there already, active\n"
    assert run("releases").startswith("* r1: 150 notes, hash-64-0, curated, ")


def test_a_release_is_activated_by_name_and_rolled_back(run: Run, folder: Path) -> None:
    run("manifest", folder, "--release", "r1")
    run("load", folder)
    run("manifest", folder, "--release", "r2")
    assert run("load", folder, "--no-activate") == "release r2: 150 notes, loaded, not active\n"
    assert run("activate", "r2") == "release r2 is active\n"
    listed = json.loads(run("releases", "--json"))
    assert [(row["name"], row["is_active"]) for row in listed] == [("r1", False), ("r2", True)]
    assert json.loads(run("activate", "r1", "--json")) == {"active": "r1"}


def test_every_command_prints_json(run: Run, folder: Path) -> None:
    written = json.loads(run("manifest", folder, "--release", "r1", "--json"))
    assert written["files"]["notes.jsonl"]["rows"] == 150
    verified = json.loads(run("verify", folder, "--json"))
    assert verified["tasks"] == {"ages": 150}
    loaded = json.loads(run("load", folder, "--json"))
    assert loaded["checksum"] == verified["checksum"]
    assert (loaded["is_new"], loaded["is_active"]) == (True, True)


def test_errors_reach_the_caller(run: Run, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no release 'nope'"):
        run("activate", "nope")
    with pytest.raises(ConfigurationError, match=r"manifest\.json: cannot be read"):
        run("load", folder)


def test_a_bad_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESYCD_KNOWLEDGE__THREADS", "0")
    with pytest.raises(ConfigurationError, match="NESYCD_KNOWLEDGE__THREADS='0'"):
        run("releases")


@pytest.mark.parametrize("command", ["manifest", "verify", "load", "releases", "activate"])
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    assert f"Example: nesycd kb {command}" in run(command, "--help")


def test_the_commands_start_without_numpy_or_onnxruntime() -> None:
    code = (
        "import sys, kb_loader.cli; "
        "assert not {'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
