from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from services.common import prompts
from services.common.errors import StudentUnavailableError
from services.student.fake import Scripted, ScriptedStudent, default_script
from services.student.protocol import Delta, FinishReason, Sampling


async def collect(student: ScriptedStudent, prompt: str, sampling: Sampling) -> list[Delta]:
    async with aclosing(student.generate(prompt, sampling)) as deltas:
        return [delta async for delta in deltas]


async def test_a_completion_that_ends_by_itself_takes_one_more_token() -> None:
    student = ScriptedStudent(lambda prompt: f" {prompt} it is")
    (delta,) = await collect(student, "so", Sampling(10, with_gaps=True))
    assert (delta.text, delta.finish_reason) == (" so it is", FinishReason.STOP)
    assert [token.text for token in delta.gaps] == [" so", " it", " is", ""]
    assert delta.completion_tokens == 4
    (delta,) = await collect(student, "so", Sampling(3))
    assert (delta.text, delta.finish_reason) == (" so it is", FinishReason.LENGTH)


async def test_a_stop_string_may_span_tokens() -> None:
    student = ScriptedStudent(lambda _: " one two three")
    for streamed in (False, True):
        deltas = await collect(student, "x", Sampling(9, stop=("e tw",), streamed=streamed))
        assert "".join(delta.text for delta in deltas) == " on"
        assert sum(delta.completion_tokens for delta in deltas) == 2
        assert deltas[-1].finish_reason is FinishReason.STOP


async def test_gaps_come_from_the_script() -> None:
    student = ScriptedStudent(lambda _: Scripted(" a b c", gap=(0.5, 0.25)))
    (delta,) = await collect(student, "x", Sampling(9, with_gaps=True))
    assert [token.gap for token in delta.gaps] == [0.5, 0.25, 0.25, 0.25]


async def test_a_failure_comes_after_the_text() -> None:
    failure = StudentUnavailableError("scripted")
    student = ScriptedStudent(lambda _: Scripted(" a b", failure=failure))
    deltas = student.generate("x", Sampling(9, streamed=True))
    assert [(await anext(deltas)).text, (await anext(deltas)).text] == [" a", " b"]
    with pytest.raises(StudentUnavailableError, match="scripted"):
        await anext(deltas)
    assert student.in_flight == 0


async def test_tokens_take_the_time_the_script_says() -> None:
    student = ScriptedStudent(lambda _: Scripted(" a b c", token_delay_s=10))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await collect(student, "x", Sampling(9))
    assert student.in_flight == 0


async def test_after_shutdown_it_is_dead() -> None:
    student = ScriptedStudent(lambda _: " a b")
    deltas = student.generate("x", Sampling(9, streamed=True))
    await anext(deltas)
    student.shutdown()
    student.shutdown()
    for call in (anext(deltas), student.check_health(), student.describe()):
        with pytest.raises(StudentUnavailableError, match="the student's engine is dead"):
            await call


@pytest.mark.parametrize(("question", "gap"), [("6 * 7?", 0.95), ("I am UNSURE", 0.1)])
def test_the_default_script_takes_both_ways_through_the_gate(question: str, gap: float) -> None:
    direct = default_script(prompts.render_ap(question))
    assert (direct.text, direct.gap) == (" 42.", gap)
    reasoned = default_script(prompts.render_ad(question, ["6 * 7 = 42"]))
    assert reasoned.text == " Six times seven is 42.\nTherefore, the answer is 42."
