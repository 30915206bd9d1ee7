"""The work of stage 1: a teacher's rationale for each question and sample."""

from __future__ import annotations

from pathlib import Path

from training.config import TeachConfig
from training.row_file import Row
from training.rows import Question, Rationale
from training.teachers import factory
from training.teachers.prompts import teach_messages
from training.teachers.protocol import NoReplyError, Prompt, Teacher


class Wanted(Row):
    """A rationale to be written; `key` is "QUESTION#SAMPLE", as of the row it becomes."""

    question: Question
    sample: int


def wanted(questions: list[Question], samples: int) -> list[Wanted]:
    """All samples of all questions; the first of every question comes first."""
    return [
        Wanted(key=f"{question.key}#{sample}", question=question, sample=sample)
        for sample in range(samples)
        for question in questions
    ]


class RationaleWriter:
    """A `Worker` that asks a teacher. What stands in the rows is what it wrote, unjudged.

    Args:
        config: of the stage.
        ledger_folder: the run folder.
    """

    def __init__(self, config: TeachConfig, ledger_folder: Path) -> None:
        self._config = config
        self._ledger_folder = ledger_folder
        self._teacher: Teacher | None = None

    async def open(self) -> None:
        """Opens the teacher. Raises: ConfigurationError."""
        self._teacher = factory.open_teacher(self._config.teacher, self._ledger_folder)

    async def __call__(self, item: Wanted, /) -> Rationale:
        """The rationale, or a row that says why there is none."""
        assert self._teacher is not None  # noqa: S101 - work_through opens before it calls
        prompt = Prompt(
            teach_messages(item.question.text),
            self._config.max_new_tokens,
            temperature=self._config.temperature,
            question=item.question.key,
            sample=item.sample,
        )
        try:
            reply = await self._teacher.write(prompt)
        except NoReplyError as error:
            return Rationale(key=item.key, question=item.question.key, error=error.message)
        return Rationale(
            key=item.key,
            question=item.question.key,
            teacher=reply.model,
            text=reply.text,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
        )

    async def close(self) -> None:
        """Closes the teacher."""
        if self._teacher is not None:
            await self._teacher.close()
            self._teacher = None
