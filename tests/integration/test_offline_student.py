"""The transformers student keeps the contract, and writes what the vLLM student writes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from services.common import prompts
from services.common.errors import (
    AdapterRefusedError,
    ConfigurationError,
    StudentUnavailableError,
)
from services.common.settings import Settings, StudentSettings
from services.student.models import student_folder
from services.student.protocol import Delta, Sampling
from tests.contract.student_suite import (
    PROMPTS,
    StudentSuite,
    collect,
    text_of,
    write_adapters,
)
from tests.needs import missing
from tests.tiny_models import (
    CONTEXT,
    LORA_CONFIG,
    build_model,
    write_adapter,
    write_safetensors,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
    # vLLM's own imports warn; none of it comes from this code.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:vllm"),
]

GAPS = Sampling(40, with_gaps=True)
# Prompts of many lengths, so that a batch of them has much padding.
MIXED = [prompt * times for times in (1, 2, 5, 3) for prompt in PROMPTS]


def started(model: Path, settings: StudentSettings) -> Any:
    from services.student.offline.student import TransformersStudent

    return TransformersStudent(settings, model=str(model), name=model.name)


@contextmanager
def running(model: Path, settings: StudentSettings) -> Iterator[Any]:
    student = started(model, settings)
    try:
        yield student
    finally:
        student.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StudentSettings:
    return StudentSettings(
        dtype="float32",
        kv_cache_bytes=1 << 26,
        max_sequences=16,
        max_queued=128,
        stream_interval_ms=5,
        adapters_dir=write_adapters(tmp_path_factory.mktemp("adapters")),
        max_lora_rank=8,
        max_loras=2,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def student(model: Path, settings: StudentSettings) -> AsyncIterator[Any]:
    with running(model, settings) as student:
        yield student


async def gaps_of(student: Any, prompt: str, *, adapter: str = "") -> list[float]:
    (delta,) = await collect(student, prompt, GAPS, adapter=adapter)
    return [token.gap for token in delta.gaps]


async def assert_idle(student: Any) -> None:
    for _ in range(100):
        if not student._worker._batches and not student._worker._waiting:
            return
        await asyncio.sleep(0.02)
    pytest.fail("a request still holds a row")


class TestTransformersStudent(StudentSuite):
    @pytest.fixture
    def context(self) -> int:
        return CONTEXT  # the model's own limit caps the setting


async def test_closing_and_cancelling_free_the_rows(student: Any) -> None:
    for turns in (0, 1, 2, 3, 5, 8, 13, 50):
        reader = asyncio.create_task(collect(student, PROMPTS[0], Sampling(200)))
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
    async with aclosing(student.generate(PROMPTS[0], Sampling(200, streamed=True))) as deltas:
        await anext(deltas)
    await assert_idle(student)


async def test_streamed_tokens_are_merged_within_the_interval(
    student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = Sampling(120, streamed=True)
    monkeypatch.setattr(student, "_hold_s", 0.0)
    single = await collect(student, PROMPTS[0], sampling)
    monkeypatch.setattr(student, "_hold_s", 60.0)
    started = time.monotonic()
    merged = await collect(student, PROMPTS[0], sampling)
    assert time.monotonic() - started < 50  # the end is not held back
    assert len(single) > 20
    assert len(merged) == 2  # the first at once, then all the rest
    assert text_of(merged) == text_of(single)


@pytest.mark.parametrize("adapter", ["", "maths"])
async def test_a_request_is_answered_alike_alone_and_among_others(
    student: Any, adapter: str
) -> None:
    alone = [(await collect(student, one, GAPS, adapter=adapter))[0] for one in MIXED]
    together = await asyncio.gather(
        *(collect(student, one, GAPS, adapter=adapter) for one in MIXED)
    )
    for one, (delta,) in zip(alone, together, strict=True):
        assert delta.text == one.text
        assert [token.gap for token in delta.gaps] == pytest.approx(
            [token.gap for token in one.gaps], abs=1e-4
        )


async def test_requests_that_join_and_leave_midway_disturb_nobody(student: Any) -> None:
    whole = [text_of(await collect(student, one, Sampling(60))) for one in MIXED]

    async def late(number: int) -> str:
        await asyncio.sleep(0.01 * number)
        limit = 10 + 50 * (number % 2)
        return text_of(await collect(student, MIXED[number % len(MIXED)], Sampling(limit)))

    # Three times as many as there are rows.
    texts = await asyncio.gather(*(late(number) for number in range(48)))
    for number, text in enumerate(texts):
        assert text
        assert whole[number % len(MIXED)].startswith(text)


async def test_adapters_at_once_do_not_disturb_each_other(student: Any) -> None:
    refs = ["", "maths@v1", "maths@v2", "spare@v1"]
    alone = [text_of(await collect(student, PROMPTS[0], adapter=ref)) for ref in refs]
    assert len(set(alone)) == 4
    at_once = await asyncio.gather(*(collect(student, PROMPTS[0], adapter=ref) for ref in refs * 4))
    assert [text_of(deltas) for deltas in at_once] == alone * 4


async def test_weights_changed_between_unload_and_load_take_effect(
    student: Any, settings: StudentSettings
) -> None:
    assert settings.adapters_dir
    folder = write_adapter(settings.adapters_dir, "changed@v1", seed=7)
    before = text_of(await collect(student, PROMPTS[0], adapter="changed"))
    await student.unload_adapter("changed")
    shutil.rmtree(folder)
    write_adapter(settings.adapters_dir, "changed@v1", seed=8)
    await student.load_adapter("changed")
    assert text_of(await collect(student, PROMPTS[0], adapter="changed")) != before
    shutil.rmtree(folder.parent)


async def test_weights_that_only_the_model_can_refuse_do_no_harm(
    student: Any, settings: StudentSettings
) -> None:
    assert settings.adapters_dir
    before = await collect(student, PROMPTS[0])
    folder = write_adapter(settings.adapters_dir, "odd@v1")
    stem = "base_model.model.model.layers.0.self_attn.unheard_of"
    write_safetensors(
        folder / "adapter_model.safetensors",
        {f"{stem}.lora_A.weight": np.ones((8, 64)), f"{stem}.lora_B.weight": np.ones((64, 8))},
    )
    try:
        for _ in range(2):
            with pytest.raises(AdapterRefusedError, match="the engine does not take it") as caught:
                await collect(student, PROMPTS[0], adapter="odd")
            assert len(caught.value.message) < 600
            assert str(settings.adapters_dir) not in caught.value.message
    finally:
        shutil.rmtree(folder.parent)
    assert await collect(student, PROMPTS[0]) == before


@pytest.mark.parametrize("place", ["read", "merged", "step"])
async def test_a_failing_batch_fails_its_own_requests_and_no_later_one(
    student: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from services.student.offline.batch import DecodingBatch

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("odd numbers")

    before = await collect(student, PROMPTS[0])
    # One row leaves before the others, so the batch has to be put together anew.
    limits = [Sampling(limit) for limit in (2, 40, 40)]
    with monkeypatch.context() as patch:
        patch.setattr(DecodingBatch, place, fail)
        results = await asyncio.gather(
            *(collect(student, PROMPTS[0], limit) for limit in limits), return_exceptions=True
        )
    failed = [result for result in results if isinstance(result, StudentUnavailableError)]
    assert len(failed) == (2 if place == "merged" else 3)
    await student.check_health()
    assert await collect(student, PROMPTS[0]) == before
    await assert_idle(student)


@pytest.mark.parametrize("place", ["read", "step"])
async def test_a_batch_that_memory_is_too_small_for_is_halved(
    model: Path, settings: StudentSettings, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    import torch

    from services.student.offline.batch import DecodingBatch

    with running(model, settings) as student:
        wanted = [await collect(student, one) for one in MIXED]
        read, step = DecodingBatch.read, DecodingBatch.step

        def small_read(model: Any, rows: Sequence[Any], **options: Any) -> Any:
            if place == "read" and len(rows) > 3:
                raise torch.OutOfMemoryError
            return read(model, rows, **options)

        def small_step(batch: Any, **options: Any) -> Any:
            if place == "step" and len(batch.lengths) > 3:
                raise torch.OutOfMemoryError
            return step(batch, **options)

        monkeypatch.setattr(DecodingBatch, "read", small_read)
        monkeypatch.setattr(DecodingBatch, "step", small_step)
        got = await asyncio.gather(*(collect(student, one) for one in MIXED))
        assert [text_of(one) for one in got] == [text_of(one) for one in wanted]

        def none_fits(*args: Any, **kwargs: Any) -> Any:
            raise torch.OutOfMemoryError

        monkeypatch.setattr(DecodingBatch, place, none_fits)
        with pytest.raises(StudentUnavailableError, match="gave this request up"):
            await collect(student, PROMPTS[0])
        await student.check_health()


async def test_a_failed_step_leaves_the_batch_as_it_was(model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from services.student.offline.batch import DecodingBatch

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    rows = [[5, 6, 7], [8] * 9]

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError

    with torch.inference_mode():
        whole, _ = DecodingBatch.read(loaded, rows, with_gaps=False)
        broken, _ = DecodingBatch.read(loaded, rows, with_gaps=False)
        assert broken.step(with_gaps=True) == whole.step(with_gaps=True)
        hook = loaded.model.layers[1].register_forward_pre_hook(fail)
        with pytest.raises(torch.OutOfMemoryError):
            broken.step(with_gaps=False)
        hook.remove()
        for _ in range(80):  # beyond the spare columns of the cache
            assert broken.step(with_gaps=True) == whole.step(with_gaps=True)


async def test_a_lost_device_is_reported_and_everything_ends(
    model: Path, settings: StudentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from services.student.offline.batch import DecodingBatch

    def lost(*args: Any, **kwargs: Any) -> Any:
        raise torch.AcceleratorError("device lost")

    with running(model, settings) as student:
        running_one = asyncio.create_task(collect(student, PROMPTS[0], Sampling(200)))
        async with aclosing(student.generate(PROMPTS[1], Sampling(200, streamed=True))) as deltas:
            await anext(deltas)
            monkeypatch.setattr(DecodingBatch, "step", lost)
            with pytest.raises(StudentUnavailableError):
                async for _ in deltas:
                    pass
        with pytest.raises(StudentUnavailableError):
            await running_one
        calls = (
            collect(student, PROMPTS[0]),
            collect(student, PROMPTS[0], adapter="maths"),
            student.describe(),
            student.check_health(),
            student.load_adapter("spare"),
        )
        for call in calls:
            with pytest.raises(StudentUnavailableError, match="the student's engine is dead"):
                await asyncio.wait_for(call, timeout=5)
        assert student.in_flight == 0


async def test_shutdown_fails_what_runs_ends_the_thread_and_may_be_repeated(
    model: Path, settings: StudentSettings
) -> None:
    before = threading.active_count()
    student = started(model, settings)
    reader = asyncio.create_task(collect(student, PROMPTS[0], Sampling(200)))
    await asyncio.sleep(0.05)
    student.shutdown()
    student.shutdown()
    with pytest.raises(StudentUnavailableError):
        await reader
    with pytest.raises(StudentUnavailableError, match="the student's engine is dead"):
        await student.check_health()
    assert not student._worker._thread.is_alive()
    assert threading.active_count() <= before + 1  # asyncio's own thread for tokenizing


async def test_a_bad_default_adapter_stops_the_start_at_once(
    model: Path, settings: StudentSettings
) -> None:
    bad = settings.model_copy(update={"default_adapter": "refused"})
    with pytest.raises(ConfigurationError, match=r"student\.default_adapter: .*use_dora"):
        started(model, bad)


async def test_a_folder_that_holds_no_model_stops_the_start(
    tmp_path: Path, settings: StudentSettings
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"the student .* does not start"):
        started(tmp_path, settings)


async def test_a_model_that_keeps_another_state_than_keys_and_values_stops_the_start(
    model: Path, tmp_path: Path, settings: StudentSettings
) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    shutil.copytree(model, tmp_path / "mamba")
    config = MambaConfig(
        vocab_size=258, hidden_size=16, state_size=4, num_hidden_layers=1, expand=2
    )
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    bare = settings.model_copy(update={"adapters_dir": None})
    with pytest.raises(ConfigurationError, match="the student mamba does not start"):
        started(tmp_path / "mamba", bare)


async def test_the_factory_starts_it_without_vllm_and_ray(model: Path) -> None:
    code = f"""
import asyncio, sys
from services.common.settings import Settings, StudentSettings
from services.student.factory import open_student
from services.student.protocol import Sampling

async def main():
    settings = StudentSettings(backend="transformers", model={str(model)!r})
    student = open_student(Settings(student=settings))
    async for delta in student.generate("Hello", Sampling(3)):
        print(delta.completion_tokens)
    student.shutdown()

asyncio.run(main())
print(*({{"vllm", "ray"}} & set(sys.modules)))
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.split() == ["3"], done.stderr


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vllm_student(model: Path, settings: StudentSettings) -> AsyncIterator[Any]:
    from services.student.vllm_engine import VllmStudent

    student = VllmStudent(settings, model=str(model), name=model.name)
    yield student
    student.shutdown()


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
    for prompt in [*MIXED, "</s><s>", " leading", "trailing ", "a\r\n\tb", "e\u0301"]:
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
    from services.student.vllm_engine import VllmStudent

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
    with running(model, settings) as student:
        ours = await completions(student)
    student = VllmStudent(settings, model=str(model), name=model.name)
    try:
        theirs = await completions(student)
    finally:
        student.shutdown()
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
