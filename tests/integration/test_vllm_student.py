"""The vLLM student keeps the contract, and what only a real engine can show.

One engine on a tiny random model serves all tests; the last one kills it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common.errors import (
    StudentUnavailableError,
)
from services.common.settings import StudentSettings
from services.student.protocol import FinishReason, Sampling
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


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StudentSettings:
    return engine_settings(tmp_path_factory.mktemp("adapters"))


def started(model: Path, settings: StudentSettings) -> Any:
    from services.student.vllm_engine import VllmStudent

    return VllmStudent(settings, model=str(model), name=model.name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def student(model: Path, settings: StudentSettings) -> AsyncIterator[Any]:
    student = started(model, settings)
    yield student
    student.shutdown()


@pytest.fixture
def is_idle(student: Any) -> IsIdle:
    async def ask() -> bool:
        """No request has a place or a cache block, in the front end or in the engine process."""
        if student._engine.get_num_unfinished_requests():
            return False
        # The engine refuses this while a request holds any block.
        return bool(await student._engine.reset_prefix_cache())

    return ask


class TestVllmStudent(EngineSuite):
    @pytest.fixture
    def context(self) -> int:
        return CONTEXT  # the model's own limit caps the setting

    @pytest.fixture
    def start(self) -> Start:
        return started


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_gaps_equal_those_of_plain_transformers(
    student: Any, model: Path, prompt: str, *, streamed: bool
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    gaps, written = [], []
    for _ in range(20):
        with torch.no_grad():
            best, second = reference(ids).logits[0, -1].softmax(-1).topk(2).values.tolist()
            token = reference(ids).logits[0, -1].argmax()
        gaps.append(best - second)
        written.append(int(token))
        ids = torch.cat([ids, token.view(1, 1)], dim=1)
    deltas = await collect(student, prompt, Sampling(20, with_gaps=True, streamed=streamed))
    served = [token.gap for delta in deltas for token in delta.gaps]
    assert served == pytest.approx(gaps, abs=1e-3)
    # A character that the limit cuts in two is left out of the served text.
    assert tokenizer.decode(written).rstrip("\ufffd").startswith(text_of(deltas).rstrip("\ufffd"))


@pytest.mark.parametrize("adapters", [[0, -1, 2, 0, -1], [1, 1, 1, 1, 1], [-1] * 5])
@pytest.mark.parametrize("stacked", [False, True])
async def test_the_cpu_kernels_apply_each_tokens_own_adapter_or_none(
    adapters: list[int], *, stacked: bool
) -> None:
    import torch

    from services.student import cpu_lora_kernels as kernels

    torch.manual_seed(0)
    indices = torch.tensor(adapters)
    down, up = torch.randn(3, 4, 6), torch.randn(3, 8, 4)
    tokens, before = torch.randn(5, 6), torch.randn(5, 10)
    shrunk = torch.full((5, 4), torch.nan)
    kernels.bgmv_shrink(tokens, down.unsqueeze(1) if stacked else down, shrunk, indices, 0.5)
    added, put = before.clone(), before.clone()
    expand = (shrunk, up.unsqueeze(1) if stacked else up)
    kernels.bgmv_expand_slice(*expand, added, indices, 1, 8, True)
    kernels.bgmv_expand(*expand, put, indices, False)
    for row, adapter in enumerate(adapters):
        wanted = torch.zeros(8) if adapter < 0 else up[adapter] @ (down[adapter] @ tokens[row]) / 2
        torch.testing.assert_close(added[row, 1:9], before[row, 1:9] + wanted)
        torch.testing.assert_close(put[row, :8], wanted)
    assert torch.equal(added[:, [0, 9]], before[:, [0, 9]])
    assert torch.equal(put[:, 8:], before[:, 8:])


async def test_more_adapters_than_a_batch_may_mix_are_served_in_turn(student: Any) -> None:
    refs = ["maths@v1", "maths@v2", "spare@v1"] * 3
    results = await asyncio.gather(*(collect(student, PROMPTS[0], adapter=ref) for ref in refs))
    assert [deltas[-1].adapter for deltas in results] == refs


async def test_a_burst_of_mixed_requests_leaves_nothing_behind(
    student: Any, is_idle: IsIdle
) -> None:
    async def one(number: int) -> str:
        sampling = Sampling(1 + number % 40, streamed=number % 2 == 0, with_gaps=number % 3 == 0)
        adapter = ("", "maths", "spare")[number % 3]
        generated = student.generate(PROMPTS[number % 4], sampling, adapter=adapter)
        async with aclosing(generated) as deltas:
            async for delta in deltas:
                if number % 5 == 0:
                    break
                if delta.finish_reason is not None:
                    assert delta.finish_reason in FinishReason
        return "done"

    assert await asyncio.gather(*(one(number) for number in range(100))) == ["done"] * 100
    await assert_idle(is_idle)
    assert student.in_flight == 0


def children_of(pid: int) -> list[int]:
    """Every process below `pid`, oldest first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *children_of(child)]
    return sorted(found)


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_a_killed_engine_is_reported_within_seconds(student: Any) -> None:
    """The last test: it ends the engine that the others share."""
    running = asyncio.create_task(collect(student, PROMPTS[0], Sampling(200)))
    async with aclosing(student.generate(PROMPTS[1], Sampling(200, streamed=True))) as deltas:
        await anext(deltas)
        (engine,) = student._engine.engine_core.resources.engine_manager.processes
        below = children_of(engine.pid)
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(StudentUnavailableError):
            async for _ in deltas:
                pass
    with pytest.raises(StudentUnavailableError):
        await running
    with pytest.raises(StudentUnavailableError, match="the student's engine is dead"):
        await student.check_health()
    for call in (collect(student, PROMPTS[0]), student.describe()):
        with pytest.raises(StudentUnavailableError):
            await asyncio.wait_for(call, timeout=5)
    assert student.in_flight == 0
    student.shutdown()
    for _ in range(200):
        if not alive(below):
            break
        await asyncio.sleep(0.1)
    assert alive(below) == []
