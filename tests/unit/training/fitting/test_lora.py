from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from services.common.errors import ConfigurationError
from tests.tiny_models import write_safetensors
from training.config import FitConfig
from training.fitting.lora import check_servable, lora_settings

REFUSED_RANK = (
    "the service could not serve the adapter: rank 64 is above the limit of 32 "
    "(student.max_lora_rank)"
)
REFUSED_NORM = (
    "target_modules: 'input_layernorm' is no linear layer of NAME; there are q_proj, up_proj"
)


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """A folder with two layers of two modules, a norm and an output layer."""
    tensors = {
        f"model.layers.{layer}.{module}.weight": np.zeros((2, 2))
        for layer in range(2)
        for module in ("self_attn.q_proj", "mlp.up_proj")
    }
    tensors |= {"model.layers.0.input_layernorm.weight": np.zeros(2), "lm_head.weight": np.ones(2)}
    write_safetensors(tmp_path / "model.safetensors", tensors)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        (
            {"rank": 64},
            REFUSED_RANK,
        ),
        (
            {"target_modules": ("q_proj", "c_attn")},
            "target_modules: 'c_attn' is no linear layer of NAME; there are q_proj, up_proj",
        ),
        (
            {"target_modules": ("input_layernorm",)},
            REFUSED_NORM,
        ),
        ({"last_layers": 3}, "last_layers = 3: the student has 2"),
    ],
)
def test_what_the_service_could_not_serve_is_refused(
    student: Path, changes: dict[str, object], refusal: str
) -> None:
    fit = FitConfig.model_validate({"epochs": 1} | changes)
    with pytest.raises(ConfigurationError) as caught:
        check_servable(fit, str(student), max_rank=32)
    assert caught.value.message == refusal.replace("NAME", student.name)


def test_what_the_service_serves_passes(student: Path) -> None:
    for fit in (
        FitConfig(epochs=1),
        FitConfig(epochs=1, target_modules=("q_proj",), last_layers=2),
    ):
        check_servable(fit, str(student), max_rank=32)
        check_servable(fit, "some/model", max_rank=32)


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens", "q proj", ".*"])
def test_modules_outside_the_layers_are_refused_by_the_configuration(name: str) -> None:
    with pytest.raises(ValidationError, match="is no linear layer that the service could serve"):
        FitConfig(epochs=1, target_modules=("q_proj", name))


def test_the_last_layers_alone_are_named() -> None:
    settings = lora_settings(FitConfig(epochs=1, last_layers=2), layers=5)
    assert settings["layers_to_transform"] == [3, 4]


def test_processes_have_to_divide_the_batch() -> None:
    message = "micro_batch_size = 4 of processes = 3 does not divide batch_size = 8"
    with pytest.raises(ValidationError, match=message):
        FitConfig(epochs=1, processes=3)
