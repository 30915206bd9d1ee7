"""An adapter on disk, in PEFT's two files: as the service loads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from services.student.adapters import CONFIG_FILE, WEIGHTS_FILE


def write_adapter(model: Any, folder: Path, *, dtype: torch.dtype, base_name: str) -> None:
    """Writes configuration and weights.

    `PeftModel.save_pretrained` is not used: it writes the path of this machine's model into the
    configuration, and asks the Hugging Face hub about the vocabulary.

    Args:
        model: a PEFT model.
        folder: made if it is not there.
        dtype: of the weights: bfloat16 halves the file, and is what the service computes in.
        base_name: of the base model.

    Raises: OSError, safetensors.SafetensorError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file(
        {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in weights.items()},
        folder / WEIGHTS_FILE,
        metadata={"format": "pt"},
    )
    # safetensors lets nobody else read it, but the service is often another user.
    (folder / WEIGHTS_FILE).chmod(0o644)
    config = model.peft_config["default"].to_dict() | {
        "base_model_name_or_path": base_name,
        "inference_mode": True,
        "task_type": "CAUSAL_LM",
        "peft_type": "LORA",
    }
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
