"""The form of the adapter, and whether the service could serve it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.common.errors import ConfigurationError
from services.common.settings import load_settings
from services.student.adapters import config_refusal, read_weight_shapes
from services.student.models import student_folder
from training.config import Config, FitConfig

_MATRIX = 2
_LINEAR = re.compile(r"\.layers\.(\d+)\..*?(\w+)\.weight$")


def lora_settings(fit: FitConfig, *, layers: int) -> dict[str, Any]:
    """PEFT's LoraConfig by its own names. `layers` is the number of the base model's layers.

    Raises: ConfigurationError when more layers are asked for than there are.
    """
    settings: dict[str, Any] = {
        "task_type": "CAUSAL_LM",
        "r": fit.rank,
        "lora_alpha": fit.alpha,
        "lora_dropout": fit.dropout,
        "bias": "none",
        "target_modules": fit.target_modules
        if isinstance(fit.target_modules, str)
        else list(fit.target_modules),
    }
    if fit.last_layers is not None:
        if fit.last_layers > layers:
            raise ConfigurationError(f"last_layers = {fit.last_layers}: the student has {layers}")
        settings["layers_to_transform"] = list(range(layers - fit.last_layers, layers))
    return settings


def check_servable(fit: FitConfig, student: str, *, max_rank: int) -> None:
    """Refuses a fit whose adapter the service would refuse; cheap, imports no torch.

    Args:
        fit: of the adapter.
        student: folder of the base model; of any other only what needs no weights is checked.
        max_rank: student.max_lora_rank of the service.

    Raises: ConfigurationError with the service's own reason.
    """
    folder = Path(student).expanduser()
    found = [_LINEAR.search(name) for name in _matrices(folder)]
    linear = {match[2] for match in found if match}
    layers = max((int(match[1]) + 1 for match in found if match), default=fit.last_layers or 0)
    settings = lora_settings(fit, layers=layers)
    refusal = config_refusal({"peft_type": "LORA"} | settings, max_rank=max_rank)
    if refusal:
        raise ConfigurationError(f"the service could not serve the adapter: {refusal}")
    if linear and not isinstance(fit.target_modules, str):
        for module in fit.target_modules:
            if module not in linear:
                raise ConfigurationError(
                    f"target_modules: {module!r} is no linear layer of {folder.name}; "
                    f"there are {', '.join(sorted(linear))}"
                )


def check_config(config: Config) -> None:
    """Both fits of a run, before anything expensive begins. Raises: ConfigurationError."""
    student = str(student_folder(load_settings().model_copy(update={"student": config.student})))
    for name, fit in (("fit_sp", config.fit_sp), ("fit_se", config.fit_se)):
        try:
            check_servable(fit, student, max_rank=config.student.max_lora_rank)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: {error.message}") from error


def _matrices(model: Path) -> Iterator[str]:
    if model.is_dir():
        for name, shape in read_weight_shapes(model).items():
            if len(shape) == _MATRIX:
                yield name
