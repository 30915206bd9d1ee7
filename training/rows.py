"""The rows that stages hand to each other: one JSON object a line, readable and correctable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.row_file import Row

Task = Literal["AD", "AP", "DC"]
"""Training tasks of NesyCD: with knowledge, answer only, chain of thought (prompts.py)."""


class Question(Row):
    """A question with its gold answer; `key` is its id, the `source` of knowledge made from it."""

    dataset: str = Field(description="Profile, such as bbh.")
    task: str = Field(description="Task within it, in snake_case.")
    text: str = Field(min_length=1, description="The whole question, options included.")
    gold: str = Field(min_length=1, description="The benchmark's target.")
    rationale: str = Field("", description="A person's solution, where the benchmark has one.")


class Rationale(Row):
    """What a teacher wrote for a question; `key` is "QUESTION#SAMPLE"."""

    question: str = Field(description="Key of the question.")
    teacher: str = Field("", description="Who wrote it.")
    text: str = Field("", description="The rationale, ended by the answer sentence.")
    answer: str = Field("", description="Extracted from the text.")
    reason: str = Field("", description="Of a rejected one: why.")
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Attempt(Row):
    """What a student answered; `key` is the question's, or "SYSTEM/QUESTION" in an evaluation."""

    question: str = Field(description="Key of the question.")
    answer: str = ""
    rationale: str = ""
    correct: bool = False
    unparsed: bool = Field(False, description="No answer could be read out of the text.")
    degenerate: str = Field(
        "", description="Why the text is no attempt: loop, truncated or too_long."
    )
    decision: str = Field("", description="Of the gate.")
    confidence: float | None = None
    knowledge: tuple[str, ...] = Field((), description="Ids of the entries it was shown.")
    degraded: str = Field("", description="Why knowledge was missing.")
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Lesson(Row):
    """What a teacher made of one error; `key` is the question's.

    `asked` holds every text that the teacher wrote, and `refusals` why each but the accepted
    one was refused: nothing that was paid for is thrown away.
    """

    question: str
    teacher: str = ""
    learning_summary: tuple[str, ...] = ()
    supplementary_knowledge: tuple[str, ...] = ()
    rules: tuple[str, ...] = Field((), description="In the language of services/knowledge/rules.")
    facts: tuple[tuple[str, str, str], ...] = Field((), description="Subject, relation, object.")
    asked: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def is_accepted(self) -> bool:
        """Whether it holds knowledge."""
        return bool(self.learning_summary or self.supplementary_knowledge)


class Example(Row):
    """One row to fit on; `key` is "TASK/QUESTION#SAMPLE"."""

    task: Task
    question: str = Field(description="Key of the question.")
    benchmark_task: str = Field("", description="The question's own task, for reports.")
    prompt: str
    completion: str = Field(description="What the loss is on.")
    weight: float = Field(1.0, ge=0, description="Of the row's loss.")
    knowledge: tuple[str, ...] = Field((), description="Ids of the entries in the prompt.")
