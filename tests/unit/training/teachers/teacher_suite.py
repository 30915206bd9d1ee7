"""What every teacher keeps to. A subclass gives one that has a reply to QUESTION."""

from __future__ import annotations

import asyncio

import pytest

from training.teachers.protocol import Message, NoReplyError, Prompt, Teacher

QUESTION = "bbh-navigate-00001"


def asked(text: str = "How many?", *, question: str = QUESTION, tokens: int = 64) -> Prompt:
    return Prompt((Message("user", text),), tokens, question=question)


class TeacherSuite:
    @pytest.fixture
    def teacher(self) -> Teacher:
        raise NotImplementedError

    @pytest.fixture
    def hopeless(self) -> Prompt | None:
        """A prompt that gets no reply; None where every prompt gets one."""
        return None

    async def test_a_reply_has_a_text_and_says_who_wrote_it(self, teacher: Teacher) -> None:
        reply = await teacher.write(asked())
        assert reply.text
        assert reply.text == reply.text.strip()
        assert reply.model
        assert reply.finish_reason in {"stop", "length"}
        assert min(reply.prompt_tokens, reply.completion_tokens) >= 0
        await teacher.close()

    async def test_many_prompts_at_a_time_all_get_replies(self, teacher: Teacher) -> None:
        replies = await asyncio.gather(*(teacher.write(asked()) for _ in range(40)))
        assert len({reply.text for reply in replies}) == 1
        await teacher.close()

    async def test_one_failure_is_of_its_prompt_alone(
        self, teacher: Teacher, hopeless: Prompt | None
    ) -> None:
        if hopeless is not None:
            with pytest.raises(NoReplyError) as caught:
                await teacher.write(hopeless)
            assert caught.value.message
        assert (await teacher.write(asked())).text
        await teacher.close()

    async def test_closing_twice_is_closing_once(self, teacher: Teacher) -> None:
        await teacher.close()
        await teacher.close()
