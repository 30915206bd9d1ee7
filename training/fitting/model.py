"""The student with a LoRA adapter on it, ready to be fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn import Linear
from transformers import AutoConfig, AutoModelForCausalLM, set_seed
from transformers.utils.logging import disable_progress_bar

from services.common.errors import ConfigurationError
from services.student.adapters import WEIGHTS_FILE, BaseShape, read_weight_shapes
from services.student.number_format import cpu_dtype
from training.config import FitConfig
from training.fitting.lora import lora_settings
from training.fitting.spec import FitSpec

_SMALL, _LARGE = 1.3e9, 7.8e9  # "1.1B" is up to the first, "7B" up to the second


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of the base model before its weights are loaded."""

    shape: BaseShape
    max_tokens: int


def read_base(student: str) -> Base:
    """Reads the model's configuration. Raises: ConfigurationError."""
    try:
        config = AutoConfig.from_pretrained(student).get_text_config()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"student.model: {student} does not load: {error}") from error
    shape = BaseShape(
        config.hidden_size, config.num_hidden_layers, read_weight_shapes(Path(student))
    )
    return Base(shape, getattr(config, "max_position_embeddings", None) or 2**31)


def number_format(precision: str) -> str:
    """bfloat16 or float32: what the fit computes in, on this machine."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return cpu_dtype()


def build_model(spec: FitSpec, base: Base) -> Any:
    """A PEFT model whose adapter is float32, whose base is in the format it computes in.

    The same seed gives the same first weights.

    Raises: ConfigurationError when the model does not load, has no such modules, or the adapter
        to start from is of another form.
    """
    set_seed(spec.seed)
    disable_progress_bar()
    dtype = getattr(torch, number_format(spec.fit.precision))
    try:
        model = AutoModelForCausalLM.from_pretrained(spec.student, dtype=dtype)
        settings = lora_settings(spec.fit, layers=base.shape.layers)
        if "layers_to_transform" in settings and settings["target_modules"] == "all-linear":
            settings["target_modules"] = _linear_modules(model)  # PEFT takes but one of the two
        fitted = get_peft_model(model, LoraConfig(**settings))
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"{spec.base_name} cannot be fitted: {error}") from error
    if spec.start_adapter is not None:
        _start_from(fitted, spec.start_adapter)
    return fitted


def learning_rate(fit: FitConfig, model: Any) -> float:
    """The configured one, or the paper's for a base model of this size."""
    if fit.learning_rate is not None:
        return fit.learning_rate
    size = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    return 2e-4 if size < _SMALL else 1e-4 if size < _LARGE else 5e-5


def _linear_modules(model: Any) -> list[str]:
    head = model.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, Linear) and module is not head
        }
    )


def _start_from(fitted: Any, folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    try:
        weights = load_file(path)
        report: Any = set_peft_model_state_dict(fitted, weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ConfigurationError(f"start_adapter: {path} cannot be taken: {error}") from error
    missing = [name for name in report.missing_keys if "lora_" in name]
    if missing or report.unexpected_keys:
        name = (missing or report.unexpected_keys)[0]
        raise ConfigurationError(
            f"start_adapter: {folder} has other layers than are to be fitted, "
            f"{'without' if missing else 'with'} {name}: target_modules and last_layers must be "
            f"those it was fitted with"
        )
