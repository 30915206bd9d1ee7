"""LoRA adapters inside a transformers model, at most one of them in effect at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig
from peft.functional import delete_adapter, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import load_peft_weights


class LoraSwitch:
    """Brings adapters into one model by number, and says which one counts; 0 is none.

    The model stays of its own class; PEFT replaces the layers that the first adapter adapts.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layers: list[BaseTunerLayer] = []
        self._selected: int | None = 0  # None: PEFT left another one in effect

    def add(self, number: int, folder: Path) -> None:
        """Reads an adapter's weights.

        Raises:
            ValueError: it has weights that the model has no place for.
            Exception: whatever else PEFT makes of a bad adapter.
        """
        name = str(number)
        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode = True
        # Weights that are not in the file then count for nothing.
        config.init_lora_weights = True
        # PEFT takes a model that has adapters already for an oversight, and warns.
        vars(self._model).pop("peft_config", None)
        self._selected = None
        try:
            inject_adapter_in_model(config, self._model, adapter_name=name)
            weights = load_peft_weights(str(folder), device="cpu")
            loaded: Any = set_peft_model_state_dict(self._model, weights, adapter_name=name)
            _refuse_homeless(loaded.unexpected_keys)
        except BaseException:
            self._find_layers()
            self.remove(number)
            raise
        self._find_layers()
        self._model.eval()

    def remove(self, number: int) -> None:
        """Drops an adapter's weights."""
        self.select(0)
        for layer in self._layers:
            layer.set_adapter([], inference_mode=True)
        delete_adapter(self._model, str(number), prefix="lora_")

    def select(self, number: int) -> None:
        """Puts an adapter into effect, or none."""
        if number == self._selected:
            return
        for layer in self._layers:
            layer.enable_adapters(bool(number))
            if number:
                layer.set_adapter([str(number)], inference_mode=True)
        self._selected = number

    def _find_layers(self) -> None:
        self._layers = [one for one in self._model.modules() if isinstance(one, BaseTunerLayer)]


def _refuse_homeless(weights: Sequence[str]) -> None:
    if weights:
        raise ValueError(f"the model has no place for {weights[0]}")
