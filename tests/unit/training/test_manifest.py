"""What a manifest says, and what a stage's key depends on."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from services.common import prompts
from services.common.errors import ConfigurationError
from tests.unit.training.toy_stages import COUNT, toy_run
from training import manifest as manifests
from training.manifest import MANIFEST, key_of, outputs_of, read_manifest


def _key(**changes: object) -> str:
    values: dict[str, object] = {
        "stage": "mine",
        "settings": {"seed": 0},
        "files": {"/data/a.jsonl": "1"},
        "inputs": {"data": "2"},
    }
    return key_of(**(values | changes))  # type: ignore[arg-type]


def test_the_key_depends_on_which_file_is_which() -> None:
    first, second = {"/train": "1", "/test": "2"}, {"/train": "2", "/test": "1"}
    assert _key(files=first) != _key(files=second)


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "teach"},
        {"settings": {"seed": 1}},
        {"files": {"/data/a.jsonl": "2"}},
        {"files": {}},
        {"inputs": {"data": "3"}},
        {"inputs": {"date": "2"}},
    ],
)
def test_the_key_depends_on(changes: dict[str, object]) -> None:
    assert _key(**changes) != _key()


def test_where_a_file_lies_does_not_change_the_key() -> None:
    assert _key(files={"/elsewhere/b.jsonl": "1"}) == _key()


def test_new_prompts_change_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _key()
    monkeypatch.setattr(prompts, "VERSION", "next")
    assert _key() != before


def test_a_finished_stage_says_all_about_itself(tmp_path: Path) -> None:
    run = toy_run(tmp_path, seed=3)
    squares = run.run()["squares"]
    assert squares.folder is not None
    made = read_manifest(squares.folder)
    assert made is not None
    data = tmp_path / "data.jsonl"
    assert made.stage == "squares"
    assert made.settings == {"seed": 3}
    assert made.files == {str(data): manifests.file_checksum(data)}
    assert made.inputs == {}
    assert made.key.startswith(squares.folder.name.removeprefix("squares-"))
    assert made.prompts == prompts.VERSION
    assert made.outputs == {
        "squares.jsonl": manifests.file_checksum(squares.folder / "squares.jsonl")
    }
    assert made.counts == {"rows": COUNT}
    assert made.seconds >= 0
    assert made.packages["nesycd"] == version("nesycd")
    assert made.code == manifests.code_checksum()
    assert len(made.code) == 64
    assert made.machine


def test_a_later_stage_names_what_it_read(tmp_path: Path) -> None:
    done = toy_run(tmp_path).run()
    squares, last = done["squares"].manifest, done["sorted"].manifest
    assert squares is not None
    assert last is not None
    assert last.inputs == {"squares": squares.checksum}


def test_scratch_and_the_manifest_are_no_outputs(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "plots/a.png", ".scratch/x", "plots/.part", MANIFEST):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    assert list(outputs_of(tmp_path)) == ["plots/a.png", "rows.jsonl"]


def test_no_folder_has_no_manifest(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"stage": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_manifest(tmp_path)
    assert raised.value.message.startswith(f"{tmp_path / MANIFEST}: ")


def test_the_code_checksum_changes_with_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("services", "training"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "a.py").write_text("1")
    monkeypatch.setattr(manifests, "__file__", str(tmp_path / "training" / "manifest.py"))
    before = manifests.code_checksum()
    (tmp_path / "services" / "notes.txt").write_text("no code")
    assert manifests.code_checksum() == before
    (tmp_path / "services" / "a.py").write_text("2")
    assert manifests.code_checksum() != before
