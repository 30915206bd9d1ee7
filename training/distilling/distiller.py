"""One error of the student made into one lesson by the teacher."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from training.distilling.checks import check_lines, check_own
from training.distilling.lessons import Cause, Lines, RefusedError, read_lines
from training.distilling.prompts import ask, ask_again
from training.row_file import Row
from training.rows import Lesson, Question
from training.teachers.protocol import NoReplyError, Prompt, Reply, Teacher


class Mistake(Row):
    """A question that the student got wrong; `key` is the question's."""

    question: Question
    solution: str = Field("", description="What the student wrote; may be empty.")


class Distiller:
    """A `Worker` that has lessons written. Can be pickled until it is open.

    Args:
        open_teacher: makes the teacher; can be pickled.
        temperature: of the teacher.
        max_new_tokens: per reply.
        attempts: replies asked for until one passes the checks, at least 1. Each refusal is
            told, so that a teacher without chance in it writes something else.
        graph: ask for rules and facts as well.
    """

    def __init__(
        self,
        open_teacher: Callable[[], Teacher],
        *,
        temperature: float,
        max_new_tokens: int,
        attempts: int,
        graph: bool,
    ) -> None:
        self._open_teacher = open_teacher
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._attempts = attempts
        self._graph = graph
        self._teacher: Teacher | None = None

    async def open(self) -> None:
        """Opens the teacher. Raises: ConfigurationError."""
        self._teacher = self._open_teacher()

    async def __call__(self, mistake: Mistake, /) -> Lesson:
        """The lesson; without any point when each reply was refused.

        A request that failed makes a row with an `error`, and never knowledge.

        Raises: NesycdError, nothing can be asked any more.
        """
        question = mistake.question
        first = messages = ask(question.text, mistake.solution, question.gold, graph=self._graph)
        replies: list[Reply] = []
        refusals: list[str] = []
        lines, failure = Lines((), ()), ""
        for sample in range(self._attempts):
            prompt = Prompt(
                messages,
                self._max_new_tokens,
                temperature=self._temperature,
                question=question.key,
                sample=sample,
            )
            try:
                reply = await self._opened.write(prompt)
            except NoReplyError as error:
                failure = error.message
                break
            replies.append(reply)
            try:
                lines = self._read(reply, question)
                break
            except RefusedError as refusal:
                refusals.append(str(refusal))
                messages = ask_again(first, reply.text, refusal.reason)
        return Lesson(
            key=mistake.key,
            error=failure,
            question=question.key,
            teacher=replies[-1].model if replies else "",
            learning_summary=lines.learning_summary,
            supplementary_knowledge=lines.supplementary_knowledge,
            rules=lines.rules,
            facts=lines.facts,
            asked=tuple(reply.text for reply in replies),
            refusals=tuple(refusals),
            prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            completion_tokens=sum(reply.completion_tokens for reply in replies),
        )

    async def close(self) -> None:
        """Closes the teacher. Safe to call twice."""
        teacher, self._teacher = self._teacher, None
        if teacher is not None:
            await teacher.close()

    @property
    def _opened(self) -> Teacher:
        assert self._teacher is not None  # noqa: S101 - `open` is called first
        return self._teacher

    def _read(self, reply: Reply, question: Question) -> Lines:
        if reply.finish_reason == "length":
            raise RefusedError(
                Cause.CUT_OFF,
                f"it was cut off after {self._max_new_tokens} tokens; write shorter points",
            )
        lines = read_lines(reply.text, graph=self._graph)
        check_lines(lines, question)
        check_own(lines)
        return lines
