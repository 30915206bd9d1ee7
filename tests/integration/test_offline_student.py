"""The transformers student keeps the contract, and what only its own batches can show."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common.errors import (
    ConfigurationError,
    StudentUnavailableError,
)
from services.common.settings import StudentSettings
from services.student.protocol import Sampling
from tests.contract.engine_suite import (
    ENGINE_TESTS,
    EngineSuite,
    IsIdle,
    Start,
    assert_idle,
    engine_settings,
)
from tests.contract.student_suite import PROMPTS, collect, text_of
from tests.tiny_models import CONTEXT, build_model

pytestmark = ENGINE_TESTS

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
    return engine_settings(tmp_path_factory.mktemp("adapters"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def student(model: Path, settings: StudentSettings) -> AsyncIterator[Any]:
    with running(model, settings) as student:
        yield student


@pytest.fixture
def is_idle(student: Any) -> IsIdle:
    async def ask() -> bool:
        return not student._worker._batches and not student._worker._waiting

    return ask


class TestTransformersStudent(EngineSuite):
    @pytest.fixture
    def context(self) -> int:
        return CONTEXT  # the model's own limit caps the setting

    @pytest.fixture
    def start(self) -> Start:
        return started


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


@pytest.mark.parametrize("place", ["read", "merged", "step"])
async def test_a_failing_batch_fails_its_own_requests_and_no_later_one(
    student: Any, is_idle: IsIdle, monkeypatch: pytest.MonkeyPatch, place: str
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
    await assert_idle(is_idle)


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
