"""Questions of a JSON Lines file: one record a line, its options already in the question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.common.errors import ConfigurationError
from services.knowledge.content import CLEAN, FILLED, Matches
from training.data.json_lines import read_lines
from training.data.profiles import Profile
from training.data.rationale_text import without_calculator_marks
from training.row_file import parse_row
from training.rows import Question

_Text = Annotated[str, CLEAN, FILLED]


class Record(BaseModel):
    """A line of the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Annotated[
        str, Matches(r"[^\s\x00-\x1f\x7f]{1,128}", "1 to 128 characters without white space")
    ] = Field(description="Unique among all questions of a run.")
    dataset: str = Field(description="Name of the profile.")
    task: str = Field(description="One of the profile's.")
    # As long as a question of the knowledge base may be.
    question: Annotated[str, StringConstraints(max_length=8000), CLEAN, FILLED] = Field(
        description="The whole question, options included."
    )
    answer: _Text = Field(description="The benchmark's target.")
    choices: list[str] | None = Field(None, description="Not read: they stand in the question.")
    rationale: _Text | None = Field(None, description="A person's solution.")
    source: str = Field("", description='Where it comes from: "REPOSITORY@COMMIT:FILE#LINE".')


def read_questions(path: Path, profile: Profile) -> tuple[list[Question], frozenset[str]]:
    """Reads a file: its questions, and the repositories that they come from.

    Raises: ConfigurationError naming file, line, field and value of what is wrong.
    """
    questions, origins = [], set()
    for place, line in read_lines(path):
        record = parse_row(line, Record, place)
        if record.dataset != profile.name:
            raise ConfigurationError(
                f"{place}: dataset: is not that of profile {profile.name}, got {record.dataset!r}"
            )
        check_task(record.task, profile, place)
        questions.append(question_of(record))
        origins.add(record.source.partition(":")[0])
    return questions, frozenset(origins - {""})


def question_of(record: Record) -> Question:
    """The question of a record."""
    return Question(
        key=record.id,
        dataset=record.dataset,
        task=record.task,
        text=record.question,
        gold=record.answer.strip(),
        rationale=without_calculator_marks(record.rationale or ""),
    )


def check_task(task: str, profile: Profile, place: str) -> None:
    """Raises: ConfigurationError, beginning with `place`, when the profile has no such task."""
    if task not in profile.tasks:
        known = ", ".join(sorted(profile.tasks))
        raise ConfigurationError(
            f"{place}: task: profile {profile.name} has none of that name, got {task!r}. It has "
            f"{known}."
        )
