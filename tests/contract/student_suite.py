"""What every `Student` owes, as tests. A subclass brings the fixtures `student` and `context`.

`student` serves the adapters that `write_adapters` makes, and writes at least 40 tokens after
any of `PROMPTS`; `context` is its longest prompt and completion together, in tokens.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import (
    AdapterNotFoundError,
    AdapterRefusedError,
    InvalidRequestError,
    OverloadedError,
)
from services.student.protocol import Delta, FinishReason, Sampling
from tests.tiny_models import write_adapter

PROMPTS = (
    "Once upon a time",
    "Question: 6 * 7?\nAnswer:",
    "名前は何ですか",
    "\x00\x07\u200b\ufeff 🙂",
)
SHORT = Sampling(max_new_tokens=40)


def write_adapters(folder: Path) -> Path:
    """Two names, one with two versions, and one that is refused."""
    write_adapter(folder, "maths@v1", seed=1)
    write_adapter(folder, "maths@v2", seed=2)
    write_adapter(folder, "spare@v1", seed=3)
    write_adapter(folder, "refused@v1", use_dora=True)
    return folder


async def collect(
    student: Any, prompt: str, sampling: Sampling = SHORT, *, adapter: str = ""
) -> list[Delta]:
    async with aclosing(student.generate(prompt, sampling, adapter=adapter)) as deltas:
        return [delta async for delta in deltas]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


class StudentSuite:
    """The contract of services.student.protocol.Student."""

    @pytest.mark.parametrize("prompt", PROMPTS)
    async def test_an_unstreamed_completion_is_one_delta(self, student: Any, prompt: str) -> None:
        (delta,) = await collect(student, prompt)
        assert delta.text
        assert delta.finish_reason is FinishReason.LENGTH
        assert delta.completion_tokens == 40
        assert delta.prompt_tokens > 0
        assert delta.gaps == ()
        assert delta.model == (await student.describe()).model
        assert delta.adapter == ""

    @pytest.mark.parametrize("prompt", PROMPTS)
    async def test_streamed_deltas_join_to_the_unstreamed_completion(
        self, student: Any, prompt: str
    ) -> None:
        (whole,) = await collect(student, prompt, Sampling(40, with_gaps=True))
        deltas = await collect(student, prompt, Sampling(40, with_gaps=True, streamed=True))
        assert text_of(deltas) == whole.text
        assert sum(delta.completion_tokens for delta in deltas) == whole.completion_tokens
        assert sum((delta.gaps for delta in deltas), ()) == whole.gaps
        assert len(deltas) > 1
        assert all(delta.text for delta in deltas[:-1])
        assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
        assert {(delta.prompt_tokens, delta.model) for delta in deltas[:-1]} == {(0, "")}
        last = deltas[-1]
        assert (last.finish_reason, last.prompt_tokens) == (
            whole.finish_reason,
            whole.prompt_tokens,
        )

    @pytest.mark.parametrize("prompt", PROMPTS)
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_there_is_one_gap_per_token(
        self, student: Any, prompt: str, *, streamed: bool
    ) -> None:
        deltas = await collect(student, prompt, Sampling(40, with_gaps=True, streamed=streamed))
        for delta in deltas:
            assert len(delta.gaps) == delta.completion_tokens
            assert all(0 <= token.gap <= 1 for token in delta.gaps)
        joined = "".join(token.text for delta in deltas for token in delta.gaps)
        assert joined == text_of(deltas)

    async def test_completions_are_greedy(self, student: Any) -> None:
        assert await collect(student, PROMPTS[0]) == await collect(student, PROMPTS[0])

    async def test_the_token_limit_is_exact(self, student: Any) -> None:
        (delta,) = await collect(student, PROMPTS[0], Sampling(1))
        assert (delta.completion_tokens, delta.finish_reason) == (1, FinishReason.LENGTH)

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_stop_string_ends_the_text_before_it(
        self, student: Any, *, streamed: bool
    ) -> None:
        text = text_of(await collect(student, PROMPTS[0]))
        stop = text[len(text) // 2 : len(text) // 2 + 3]
        sampling = Sampling(40, stop=("\x01never\x01", stop), streamed=streamed, with_gaps=True)
        deltas = await collect(student, PROMPTS[0], sampling)
        assert text_of(deltas) == text[: text.index(stop)]
        assert deltas[-1].finish_reason is FinishReason.STOP
        assert sum(delta.completion_tokens for delta in deltas) < 40
        assert all(delta.text for delta in deltas[:-1])
        joined = "".join(token.text for delta in deltas for token in delta.gaps)
        assert joined.startswith(text_of(deltas) + stop)

    async def test_requests_at_once_do_not_disturb_each_other(self, student: Any) -> None:
        alone = [text_of(await collect(student, prompt)) for prompt in PROMPTS]
        streams = [Sampling(40, streamed=True), SHORT]
        at_once = await asyncio.gather(
            *(collect(student, prompt, streams[n % 2]) for n in range(4) for prompt in PROMPTS)
        )
        assert [text_of(deltas) for deltas in at_once] == alone * 4

    async def test_closing_the_generator_ends_the_request(self, student: Any) -> None:
        async with aclosing(student.generate(PROMPTS[0], Sampling(150, streamed=True))) as deltas:
            await anext(deltas)
            assert student.in_flight == 1
        assert student.in_flight == 0

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_cancelling_the_reader_ends_the_request(
        self, student: Any, *, streamed: bool
    ) -> None:
        for turns in range(6):
            reader = asyncio.create_task(
                collect(student, PROMPTS[0], Sampling(150, streamed=streamed))
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert student.in_flight == 0

    async def test_one_request_above_the_limit_is_refused_with_a_hint(
        self, student: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(student._admission, "_limit", 3)
        results = await asyncio.gather(
            *(collect(student, PROMPTS[0]) for _ in range(5)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, BaseException)]
        assert [type(error) for error in refused] == [OverloadedError] * 2
        for error in refused:
            assert isinstance(error, OverloadedError)
            assert error.retry_after_s
            assert error.message == (
                "the student has 3 requests in flight, its limit (student.max_queued)"
            )
        assert student.in_flight == 0
        await collect(student, PROMPTS[0])

    async def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(
        self, student: Any, context: int
    ) -> None:
        fits = " ".join("x" * (context // 4))
        (delta,) = await collect(student, fits, Sampling(1))
        room = context - delta.prompt_tokens
        await collect(student, fits, Sampling(room))
        with pytest.raises(InvalidRequestError) as caught:
            await collect(student, fits, Sampling(room + 1))
        assert caught.value.message == (
            f"question: its prompt of {delta.prompt_tokens} tokens and {room + 1} new tokens "
            f"exceed the model's context of {context} tokens"
        )

    async def test_hostile_requests_are_refused_and_harm_nobody(self, student: Any) -> None:
        hostile = ["", "\ud800", "a\udfff", "x " * 2_000_000, "\x00 " * 5000, "\u0301 " * 9999]
        before = await collect(student, PROMPTS[0])
        for streamed in (False, True):
            for prompt in hostile:
                with pytest.raises(InvalidRequestError) as caught:
                    await collect(student, prompt, Sampling(40, streamed=streamed))
                assert caught.value.violations[0].field == "question"
                assert len(caught.value.message) < 300
        for prompt in ("\x00", "</s><s>", "<|im_end|>", "\n", " ", "\u202e\u0000", "%s{}\\"):
            await collect(student, prompt, Sampling(1, stop=("\x00", "\n" * 500, "🙂")))
        assert await collect(student, PROMPTS[0]) == before
        assert student.in_flight == 0

    async def test_adapters_are_described(self, student: Any) -> None:
        found = {info.ref: info.refusal for info in (await student.describe()).adapters}
        assert list(found) == ["maths@v2", "maths@v1", "refused@v1", "spare@v1"]
        assert [ref for ref, refusal in found.items() if refusal] == ["refused@v1"]

    async def test_the_last_delta_names_the_exact_adapter(self, student: Any) -> None:
        for ref, exact in (("maths", "maths@v2"), ("maths@v1", "maths@v1")):
            deltas = await collect(student, PROMPTS[0], Sampling(9, streamed=True), adapter=ref)
            assert [delta.adapter for delta in deltas] == [""] * (len(deltas) - 1) + [exact]

    async def test_unknown_and_refused_adapters_give_no_delta(self, student: Any) -> None:
        with pytest.raises(AdapterNotFoundError) as unknown:
            await collect(student, PROMPTS[0], adapter="absent")
        assert unknown.value.message == (
            "adapter: 'absent' is not one of maths@v2, maths@v1, spare@v1, refused@v1"
        )
        with pytest.raises(AdapterRefusedError, match="use_dora is True"):
            await collect(student, PROMPTS[0], adapter="refused")
        assert student.in_flight == 0

    async def test_an_unloaded_adapter_is_refused_until_it_is_loaded(self, student: Any) -> None:
        before = await collect(student, PROMPTS[0], adapter="spare")
        assert (await student.load_adapter("spare")).loaded
        assert not (await student.unload_adapter("spare")).loaded
        with pytest.raises(AdapterNotFoundError, match="'spare@v1' was unloaded"):
            await collect(student, PROMPTS[0], adapter="spare")
        assert (await student.load_adapter("spare@v1")).loaded
        assert await collect(student, PROMPTS[0], adapter="spare") == before

    async def test_an_adapter_that_is_unloaded_under_a_request_serves_it_to_the_end(
        self, student: Any
    ) -> None:
        whole = text_of(await collect(student, PROMPTS[0], adapter="spare"))
        sampling = Sampling(40, streamed=True)
        async with aclosing(student.generate(PROMPTS[0], sampling, adapter="spare")) as deltas:
            text = (await anext(deltas)).text
            await student.unload_adapter("spare")
            text += "".join([delta.text async for delta in deltas])
        assert text == whole
        await student.load_adapter("spare")

    async def test_a_living_student_is_healthy(self, student: Any) -> None:
        await student.check_health()
