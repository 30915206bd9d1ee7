"""Tiny random models and LoRA adapters, written to disk for the tests that need weights.

The model is a two-layer Llama of 0.1 million parameters whose byte-level vocabulary makes
every character that is not ASCII out of several tokens. Its weights are drawn wide, so
that its greedy texts are long, varied and differ from prompt to prompt.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

HIDDEN_SIZE = 64
LAYERS = 2
CONTEXT = 256

LORA_CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj"],
    "bias": "none",
    "modules_to_save": None,
    "init_lora_weights": True,
    "use_dora": False,
    "use_rslora": False,
}


def build_model(folder: Path, *, seed: int = 0, context: int = CONTEXT) -> Path:
    """Writes config, tokenizer and float32 weights. Needs torch and transformers."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1}
    vocabulary |= {character: place for place, character in enumerate(alphabet, 2)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",  # noqa: S106  # no password
        eos_token="</s>",  # noqa: S106
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[:2] = 0  # never the best token, so no text ends by itself
    model.save_pretrained(folder)
    return folder


def write_adapter(
    adapters_dir: Path,
    ref: str,
    *,
    seed: int = 1,
    hidden_size: int = HIDDEN_SIZE,
    layers: int = LAYERS,
    **changes: Any,
) -> Path:
    """Writes a LoRA adapter as PEFT does, without torch. `changes` go into its configuration."""
    import numpy as np

    config = LORA_CONFIG | changes
    name, _, version = ref.partition("@")
    folder = adapters_dir / name / version
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    random = np.random.default_rng(seed)
    tensors = {}
    for layer in range(layers):
        for module in ("q_proj", "v_proj"):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            for side, shape in (
                ("A", (config["r"], hidden_size)),
                ("B", (hidden_size, config["r"])),
            ):
                tensors[f"{stem}.lora_{side}.weight"] = random.normal(0, 0.5, shape)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def write_safetensors(path: Path, tensors: dict[str, Any]) -> None:
    """Writes float32 tensors: 8 bytes of header length, the header, the numbers."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        numbers = tensor.astype("<f4").tobytes()
        offsets = [len(data), len(data) + len(numbers)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += numbers
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
