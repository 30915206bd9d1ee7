"""LocalModel over the scripted engine; tests/integration/test_teachers.py has a real one."""

from __future__ import annotations

import pytest

from services.common.errors import ConfigurationError, StudentUnavailableError
from services.common.settings import Settings, StudentSettings
from tests.unit.training.teachers.teacher_suite import TeacherSuite, asked
from training.config import LocalTeacher
from training.teachers.local import LocalModel
from training.teachers.protocol import Message, Prompt, Teacher


def spec(*, chat: bool = False, **changes: int) -> LocalTeacher:
    student = StudentSettings(backend="scripted", **changes)
    return LocalTeacher(kind="local", student=student, chat=chat, in_flight=4)


class TestLocalModel(TeacherSuite):
    @pytest.fixture
    def teacher(self) -> Teacher:
        # One more prompt at a time than `in_flight` would be refused.
        return LocalModel(spec(max_model_len=128, max_queued=4), Settings())

    @pytest.fixture
    def hopeless(self) -> Prompt:
        return asked("a word " * 200)


async def test_without_a_template_the_turns_stand_one_below_the_other() -> None:
    messages = (Message("system", "Be brief."), Message("user", "unsure?"))
    reply = await LocalModel(spec(), Settings()).write(Prompt(messages, 64))
    assert reply.text == "Six times seven is 42.\nTherefore, the answer is 42."
    assert (reply.model, reply.prompt_tokens, reply.finish_reason) == ("scripted", 3, "stop")


async def test_a_dead_engine_stops_the_work() -> None:
    teacher = LocalModel(spec(), Settings())
    await teacher.close()
    with pytest.raises(StudentUnavailableError):
        await teacher.write(asked())


def test_a_script_has_no_chat_template() -> None:
    with pytest.raises(ConfigurationError, match=r"^teacher\.chat: a scripted student has no"):
        LocalModel(spec(chat=True), Settings())
