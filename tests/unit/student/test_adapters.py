from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import AdapterNotFoundError, AdapterRefusedError
from services.student.adapters import (
    AdapterCatalog,
    BaseShape,
    _version_key,
    read_adapter,
    read_weight_shapes,
)
from tests.tiny_models import HIDDEN_SIZE, LAYERS, write_adapter, write_safetensors

BASE = BaseShape(HIDDEN_SIZE, LAYERS)


def catalog_of(folder: Path | None) -> AdapterCatalog:
    catalog = AdapterCatalog(folder, max_rank=32, base=BASE)
    catalog.scan()
    return catalog


def test_a_good_adapter_is_listed_with_its_rank(tmp_path: Path) -> None:
    write_adapter(tmp_path, "maths@v1", r=16)
    (found,) = AdapterCatalog(tmp_path, max_rank=32, base=BASE).scan()
    assert (found.ref, found.rank, found.refusal) == ("maths@v1", 16, "")


def test_versions_are_listed_by_name_then_newest_first(tmp_path: Path) -> None:
    for ref in ("b@v2", "b@v10", "b@v9", "a@2024-01", "a@2023-12"):
        write_adapter(tmp_path, ref)
    refs = [found.ref for found in AdapterCatalog(tmp_path, max_rank=32, base=BASE).scan()]
    assert refs == ["a@2024-01", "a@2023-12", "b@v10", "b@v9", "b@v2"]


def test_a_name_alone_means_its_newest_version(tmp_path: Path) -> None:
    for version in ("v2", "v10", "v9"):
        write_adapter(tmp_path, f"maths@{version}")
    assert catalog_of(tmp_path).find("maths").ref == "maths@v10"
    assert catalog_of(tmp_path).find("maths@v2").ref == "maths@v2"


def test_a_name_alone_passes_over_newer_versions_that_cannot_be_served(tmp_path: Path) -> None:
    write_adapter(tmp_path, "maths@v1")
    write_adapter(tmp_path, "maths@v2", use_dora=True)
    catalog = catalog_of(tmp_path)
    assert catalog.find("maths").ref == "maths@v1"
    with pytest.raises(AdapterRefusedError) as caught:
        catalog.find("maths@v2")
    assert caught.value.message == ("adapter: 'maths@v2': use_dora is True, which cannot be served")


@pytest.mark.parametrize(
    ("older", "newer"),
    [("v2", "v10"), ("1.9", "1.10"), ("2024-01-31", "2024-02-01"), ("v1", "v1.1"), ("1", "a")],
)
def test_versions_are_in_natural_order(older: str, newer: str) -> None:
    assert _version_key(older) < _version_key(newer)


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)))
def test_any_versions_can_be_ordered(versions: list[str]) -> None:
    keys = [_version_key(version) for version in versions]
    assert sorted(sorted(keys), reverse=True) == sorted(keys, reverse=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"r": 64}, "rank 64 is above the limit of 32 (student.max_lora_rank)"),
        (
            {"rank_pattern": {"q_proj": 128}},
            "rank 128 is above the limit of 32 (student.max_lora_rank)",
        ),
        ({"rank_pattern": [8]}, "rank_pattern is [8], must map module names to ranks"),
        ({"use_dora": True}, "use_dora is True, which cannot be served"),
        ({"lora_bias": True}, "lora_bias is True, which cannot be served"),
        (
            {"layer_replication": [[0, 1]]},
            "layer_replication is [[0, 1]], which cannot be served",
        ),
        ({"bias": "all"}, "bias is 'all', must be 'none'"),
        (
            {"modules_to_save": ["lm_head"]},
            "modules_to_save is ['lm_head']; whole modules cannot be served",
        ),
        (
            {"init_lora_weights": "pissa_niter_16"},
            "init_lora_weights is 'pissa_niter_16', which changes the base model as well",
        ),
        (
            {"init_lora_weights": "olora"},
            "init_lora_weights is 'olora', which changes the base model as well",
        ),
        (
            {"init_lora_weights": "loftq"},
            "init_lora_weights is 'loftq', which changes the base model as well",
        ),
        ({"peft_type": "ADALORA"}, "peft_type is 'ADALORA', must be 'LORA'"),
        ({"lora_alpha": "16"}, "lora_alpha is '16', must be a number"),
    ],
)
def test_what_the_engine_cannot_serve_is_refused_with_the_value(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    config = json.loads((folder / "adapter_config.json").read_text()) | changes
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert read_adapter(folder, max_rank=32, base=BASE)[1] == reason


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva"])
def test_initialisations_that_leave_the_base_model_alone_are_served(
    tmp_path: Path, init: object
) -> None:
    folder = write_adapter(tmp_path, "maths@v1", init_lora_weights=init)
    assert read_adapter(folder, max_rank=32, base=BASE) == (8, "")


@pytest.mark.parametrize("rank", [0, -1, "8", None, True, 1.5])
def test_a_rank_that_is_no_count_is_refused(tmp_path: Path, rank: object) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    assert read_adapter(folder, max_rank=32, base=BASE) == (
        0,
        f"r (the rank) is {rank!r}, must be a whole number from 1",
    )


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    (folder / file).unlink()
    assert read_adapter(folder, max_rank=32, base=BASE)[1] == f"{file} is missing"


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", "[" * 100_000])
def test_a_broken_configuration_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    (folder / "adapter_config.json").write_text(content)
    rank, reason = read_adapter(folder, max_rank=32, base=BASE)
    assert rank == 0
    assert reason.startswith("adapter_config.json ")


@settings(deadline=None)
@given(data=st.binary(max_size=64))
def test_weights_that_are_no_safetensors_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = write_adapter(tmp_path_factory.mktemp("adapters"), "maths@v1")
    (folder / "adapter_model.safetensors").write_bytes(data)
    reason = read_adapter(folder, max_rank=32, base=BASE)[1]
    assert reason.startswith("adapter_model.safetensors ")


def test_weights_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    weights = folder / "adapter_model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[:-1])
    assert read_adapter(folder, max_rank=32, base=BASE)[1] == (
        f"adapter_model.safetensors is cut short: {size - 1} bytes of {size}"
    )


def test_weights_for_another_model_are_refused(tmp_path: Path) -> None:
    wide = write_adapter(tmp_path, "wide@v1", hidden_size=128)
    deep = write_adapter(tmp_path, "deep@v1", layers=3)
    assert read_adapter(wide, max_rank=32, base=BASE)[1] == (
        "it was made for hidden size 128, the base model has 64"
    )
    assert read_adapter(deep, max_rank=32, base=BASE)[1] == (
        "it has weights for layer 2, the base model has 2 layers"
    )
    assert read_adapter(wide, max_rank=32, base=None)[1] == ""


def test_weights_for_other_attention_heads_are_refused(tmp_path: Path) -> None:
    shapes = {"q_proj": (64, 64), "v_proj": (32, 64)}  # half as many value heads
    tensors = {
        f"model.layers.{layer}.self_attn.{module}.weight": np.zeros(shape)
        for layer in range(LAYERS)
        for module, shape in shapes.items()
    }
    write_safetensors(tmp_path / "model.safetensors", tensors)
    base = BaseShape(HIDDEN_SIZE, LAYERS, read_weight_shapes(tmp_path))
    folder = write_adapter(tmp_path, "maths@v1")
    assert read_adapter(folder, max_rank=32, base=base)[1] == (
        "its v_proj writes 64 numbers, the base model's 32"
    )


def test_weights_that_are_not_lora_are_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    write_safetensors(
        folder / "adapter_model.safetensors", {"lm_head.weight": np.zeros((2, HIDDEN_SIZE))}
    )
    assert read_adapter(folder, max_rank=32, base=BASE)[1] == (
        "adapter_model.safetensors holds lm_head.weight, which is no LoRA weight"
    )


def test_folders_with_unsafe_names_are_refused_and_hidden_ones_skipped(tmp_path: Path) -> None:
    write_adapter(tmp_path, "two words@v1")
    write_adapter(tmp_path, ".upload@v1")
    write_adapter(tmp_path, "maths@.part")
    (tmp_path / "README.md").write_text("not an adapter")
    (tmp_path / "maths" / "notes.txt").write_text("not a version")
    (found,) = AdapterCatalog(tmp_path, max_rank=32, base=BASE).scan()
    assert found.ref == "two words@v1"
    assert found.refusal == ("its name has other characters than letters, digits, '.', '_' and '-'")


@pytest.mark.parametrize("ref", ["..", "../maths@v1", "maths@../v1", "maths@", "@v1", "x" * 5000])
def test_references_outside_the_folder_are_not_found(tmp_path: Path, ref: str) -> None:
    write_adapter(tmp_path / "adapters", "other@v1")
    write_adapter(tmp_path, "maths@v1")
    with pytest.raises(AdapterNotFoundError) as caught:
        catalog_of(tmp_path / "adapters").find(ref)
    assert caught.value.message == f"adapter: {ref[:128]!r} is not one of other@v1"
    assert caught.value.violations[0].field == "adapter"


def test_an_unknown_name_lists_at_most_ten_that_there_are_served_ones_first(
    tmp_path: Path,
) -> None:
    write_adapter(tmp_path, "a@v1", use_dora=True)
    for number in range(10):
        write_adapter(tmp_path, f"b@v{number}")
    with pytest.raises(AdapterNotFoundError) as caught:
        catalog_of(tmp_path).find("c")
    assert caught.value.message == (
        "adapter: 'c' is not one of b@v9, b@v8, b@v7, b@v6, b@v5, b@v4, b@v3, b@v2, b@v1, b@v0 "
        "and 1 more"
    )


def test_without_adapters_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(AdapterNotFoundError, match="has no adapters"):
        catalog_of(None).find("maths")
    with pytest.raises(AdapterNotFoundError, match="the adapter folder is empty"):
        catalog_of(tmp_path / "absent").find("maths")
