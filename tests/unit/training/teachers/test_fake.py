from __future__ import annotations

import pytest

from services.common import answers
from tests.unit.training.teachers.teacher_suite import TeacherSuite, asked
from training.distilling.lessons import read_lines
from training.distilling.prompts import ask
from training.teachers.fake import ScriptedTeacher, default_script
from training.teachers.prompts import teach_messages
from training.teachers.protocol import Prompt, Teacher


class TestScriptedTeacher(TeacherSuite):
    @pytest.fixture
    def teacher(self) -> Teacher:
        return ScriptedTeacher()


async def test_the_script_is_asked_with_the_whole_prompt() -> None:
    teacher = ScriptedTeacher(lambda prompt: f"{prompt.question}: {prompt.messages[0].text}")
    reply = await teacher.write(asked("What now?", question="q7"))
    assert reply.text == "q7: What now?"
    assert (reply.prompt_tokens, reply.completion_tokens) == (2, 3)


async def test_the_limit_cuts_the_text_off() -> None:
    reply = await ScriptedTeacher(lambda _: "a b\nc d e").write(asked(tokens=2))
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == ("a b\nc", "length", 2)


def test_the_default_script_answers_a_question() -> None:
    text = default_script(Prompt(teach_messages("What is 6 * 7?"), 64))
    assert answers.extract(text) == "42"


def test_the_default_script_writes_a_lesson_when_asked_for_one() -> None:
    text = default_script(Prompt(ask("What is 6 * 7?", "It is 41.", "42", graph=False), 64))
    lesson = read_lines(text)
    assert len(lesson.learning_summary) == 2
    assert len(lesson.supplementary_knowledge) == 1
