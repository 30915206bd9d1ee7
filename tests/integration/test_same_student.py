"""The two engines of the student read the same tokens and write the same texts and gaps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import numpy as np
import pytest
import pytest_asyncio

from services.common import prompts
from services.common.settings import Settings, StudentSettings
from services.student.factory import open_student
from services.student.models import student_folder
from services.student.protocol import Delta, Sampling
from tests.contract.engine_suite import ENGINE_TESTS, engine_settings
from tests.contract.student_suite import PROMPTS, collect
from tests.needs import missing
from tests.tiny_models import LORA_CONFIG, build_model, write_safetensors

pytestmark = ENGINE_TESTS

GAPS = Sampling(40, with_gaps=True)
READ = [
    *(prompt * times for times in (1, 2, 5, 3) for prompt in PROMPTS),
    "</s><s>",
    " leading",
    "trailing ",
    "a\r\n\tb",
    "e\u0301",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StudentSettings:
    return engine_settings(tmp_path_factory.mktemp("adapters"))


@contextmanager
def running(
    backend: Literal["transformers", "vllm"], model: Path, settings: StudentSettings
) -> Iterator[Any]:
    chosen = settings.model_copy(update={"backend": backend, "model": str(model)})
    student = open_student(Settings(student=chosen))
    try:
        yield student
    finally:
        student.shutdown()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def student(model: Path, settings: StudentSettings) -> AsyncIterator[Any]:
    with running("transformers", model, settings) as student:
        yield student


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vllm_student(model: Path, settings: StudentSettings) -> AsyncIterator[Any]:
    with running("vllm", model, settings) as student:
        yield student


@pytest.mark.parametrize("adapter", ["", "maths"])
async def test_the_vllm_student_writes_the_same(
    student: Any, vllm_student: Any, adapter: str
) -> None:
    sampling = Sampling(40, stop=("e", "語"), with_gaps=True)
    for one in (GAPS, sampling, Sampling(200, with_gaps=True)):
        ours, theirs = [
            await asyncio.gather(
                *(collect(backend, prompt, one, adapter=adapter) for prompt in PROMPTS)
            )
            for backend in (student, vllm_student)
        ]
        for (delta,), (other,) in zip(ours, theirs, strict=True):
            assert without_gaps(delta) == without_gaps(other)
            assert [token.text for token in delta.gaps] == [token.text for token in other.gaps]
            assert [token.gap for token in delta.gaps] == pytest.approx(
                [token.gap for token in other.gaps], abs=1e-3
            )


def without_gaps(delta: Delta) -> tuple[object, ...]:
    return (
        delta.text,
        delta.completion_tokens,
        delta.prompt_tokens,
        delta.finish_reason,
        delta.model,
        delta.adapter,
    )


async def test_both_read_the_same_tokens(student: Any, vllm_student: Any) -> None:
    for prompt in READ:
        theirs = (await vllm_student._tokenize(prompt, 1))["prompt_token_ids"]
        assert await student._tokenize(prompt, 1) == theirs


THINGS = ("apples", "books", "coins", "dogs", "keys")
QUESTIONS = [
    f"There are {n} {THINGS[n % 5]} in each of {n + 3} boxes{', as every day' * (n % 4)}. "
    f"Someone takes {2 * n} of them away. How many are left?"
    for n in range(1, 21)
]


def write_real_adapter(folder: Path) -> Path:
    """Random weights for SmolLM2-135M, small enough that it still writes English."""
    adapter = folder / "nudge" / "v1"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(json.dumps(LORA_CONFIG))
    random = np.random.default_rng(0)
    tensors = {}
    for layer in range(30):
        for module, out in (("q_proj", 576), ("v_proj", 192)):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{stem}.lora_A.weight"] = random.normal(0, 0.02, (8, 576))
            tensors[f"{stem}.lora_B.weight"] = random.normal(0, 0.02, (out, 8))
    write_safetensors(adapter / "adapter_model.safetensors", tensors)
    return folder


async def test_the_real_student_is_the_same_on_both(tmp_path: Path) -> None:
    """In float32: 19 of 20 texts, and the gaps of those within 0.01 on average.

    Measured: 20 of 20 with and without adapter, gaps apart by 4e-6 on average, 3e-5 at most.
    """
    model = student_folder(Settings())
    if not model.is_dir():
        missing(f"{model}, which `nesycd setup` makes")
    settings = StudentSettings(
        dtype="float32",
        kv_cache_bytes=1 << 29,
        max_model_len=512,
        adapters_dir=write_real_adapter(tmp_path),
        max_lora_rank=8,
    )
    read = [prompts.render_ap(one) for one in QUESTIONS[::2]]
    read += [prompts.render_dc(one) for one in QUESTIONS[1::2]]

    async def completions(student: Any) -> list[Delta]:
        for prompt in read:
            token_ids = await student._tokenize(prompt, 1)
            tokens.setdefault(prompt, []).append(
                token_ids if isinstance(token_ids, list) else token_ids["prompt_token_ids"]
            )
        return [
            deltas[0]
            for adapter in ("", "nudge")
            for deltas in await asyncio.gather(
                *(collect(student, prompt, GAPS, adapter=adapter) for prompt in read)
            )
        ]

    tokens: dict[str, list[list[int]]] = {}
    with running("transformers", model, settings) as student:
        ours = await completions(student)
    with running("vllm", model, settings) as student:
        theirs = await completions(student)
    assert all(mine == other for mine, other in tokens.values())
    assert [delta.text for delta in ours[:20]] != [delta.text for delta in ours[20:]]
    for adapter in (slice(0, 20), slice(20, 40)):
        pairs = list(zip(ours[adapter], theirs[adapter], strict=True))
        same = [(one, other) for one, other in pairs if without_gaps(one) == without_gaps(other)]
        differences = [
            abs(mine.gap - other.gap)
            for one, two in same
            for mine, other in zip(one.gaps, two.gaps, strict=True)
        ]
        assert len(same) >= 19
        assert mean(differences) <= 0.01
