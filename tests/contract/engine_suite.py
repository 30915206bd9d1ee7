"""What every `Student` on a real engine owes beyond the contract, as tests.

A subclass brings, beside the fixtures of `StudentSuite`: `model`, the folder of a tiny model,
`settings`, `start`, which makes a student of a folder and settings, and `is_idle`, an awaitable
function that says whether the engine still holds anything of a request.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.common.errors import AdapterRefusedError, ConfigurationError
from services.common.settings import StudentSettings
from services.student.protocol import Sampling
from tests.contract.student_suite import PROMPTS, StudentSuite, collect, text_of, write_adapters
from tests.tiny_models import write_adapter, write_safetensors

ENGINE_TESTS = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
    # vLLM's own imports warn; none of it comes from this code.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:vllm"),
]

Start = Callable[[Path, StudentSettings], Any]
IsIdle = Callable[[], Awaitable[bool]]


def engine_settings(adapters: Path) -> StudentSettings:
    """Those that the tests reckon with; the adapters are written into the folder given."""
    return StudentSettings(
        dtype="float32",
        kv_cache_bytes=1 << 26,
        max_sequences=16,
        max_queued=128,
        stream_interval_ms=5,
        adapters_dir=write_adapters(adapters),
        max_lora_rank=8,
        max_loras=2,
    )


async def assert_idle(is_idle: IsIdle) -> None:
    for _ in range(100):
        if await is_idle():
            return
        await asyncio.sleep(0.02)
    pytest.fail("the engine still holds something of a request")


class EngineSuite(StudentSuite):
    """What an engine owes."""

    async def test_closing_and_cancelling_free_the_engine(
        self, student: Any, is_idle: IsIdle
    ) -> None:
        for turns in (0, 1, 2, 3, 5, 8, 13, 50):
            reader = asyncio.create_task(collect(student, PROMPTS[0], Sampling(200)))
            for _ in range(turns):
                await asyncio.sleep(0)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
        async with aclosing(student.generate(PROMPTS[0], Sampling(200, streamed=True))) as deltas:
            await anext(deltas)
        await assert_idle(is_idle)

    async def test_streamed_tokens_are_merged_within_the_interval(
        self, student: Any, monkeypatch: pytest.MonkeyPatch
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

    async def test_adapters_at_once_do_not_disturb_each_other(self, student: Any) -> None:
        refs = ["", "maths@v1", "maths@v2", "spare@v1"]
        alone = [text_of(await collect(student, PROMPTS[0], adapter=ref)) for ref in refs]
        assert len(set(alone)) == 4
        at_once = await asyncio.gather(
            *(collect(student, PROMPTS[0], adapter=ref) for ref in refs * 4)
        )
        assert [text_of(deltas) for deltas in at_once] == alone * 4
        named = [deltas[-1].adapter for deltas in at_once]
        assert named == refs * 4

    async def test_weights_changed_between_unload_and_load_take_effect(
        self, student: Any, settings: StudentSettings
    ) -> None:
        assert settings.adapters_dir
        folder = write_adapter(settings.adapters_dir, "changed@v1", seed=7)
        prompt = PROMPTS[0] * 14  # longer than a cache block, so a prefix cache is in play
        before = text_of(await collect(student, prompt, Sampling(20), adapter="changed"))
        assert text_of(await collect(student, prompt, Sampling(20), adapter="changed")) == before
        await student.unload_adapter("changed")
        shutil.rmtree(folder)
        write_adapter(settings.adapters_dir, "changed@v1", seed=8)
        await student.load_adapter("changed")
        assert text_of(await collect(student, prompt, Sampling(20), adapter="changed")) != before
        shutil.rmtree(folder.parent)

    async def test_weights_that_only_the_engine_can_refuse_do_no_harm(
        self, student: Any, settings: StudentSettings
    ) -> None:
        assert settings.adapters_dir
        before = await collect(student, PROMPTS[0])
        folder = write_adapter(settings.adapters_dir, "odd@v1")
        stem = "base_model.model.model.layers.0.self_attn.unheard_of"
        write_safetensors(
            folder / "adapter_model.safetensors",
            {f"{stem}.lora_A.weight": np.ones((8, 64)), f"{stem}.lora_B.weight": np.ones((64, 8))},
        )
        refusal = "the engine does not take it"
        try:
            for _ in range(2):
                with pytest.raises(AdapterRefusedError, match=refusal) as caught:
                    await collect(student, PROMPTS[0], adapter="odd")
                assert len(caught.value.message) < 600
                assert str(settings.adapters_dir) not in caught.value.message
        finally:
            shutil.rmtree(folder.parent)
        assert await collect(student, PROMPTS[0]) == before

    async def test_a_bad_default_adapter_stops_the_start_at_once(
        self, model: Path, settings: StudentSettings, start: Start
    ) -> None:
        bad = settings.model_copy(update={"default_adapter": "refused"})
        with pytest.raises(ConfigurationError, match=r"student\.default_adapter: .*use_dora"):
            start(model, bad)

    async def test_a_folder_that_holds_no_model_stops_the_start(
        self, tmp_path: Path, settings: StudentSettings, start: Start
    ) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(ConfigurationError, match=r"the student .* does not start"):
            start(tmp_path, settings)
