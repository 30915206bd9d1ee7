"""Rows of the benchmarks' Hugging Face datasets, and the question that each one is.

One class per layout, with the columns that are read; others are left alone. `question` has the
options of multiple choice at its end, as services/common/answers.py reads them.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from training.data.rationale_text import without_calculator_marks


@dataclass(frozen=True, slots=True)
class HubQuestion:
    """What a row asks, its gold answer, and a person's solution where there is one."""

    question: str
    gold: str
    rationale: str = ""


class HubRow(BaseModel, ABC):
    """A row of a dataset."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @abstractmethod
    def asked(self) -> HubQuestion:
        """The question. Raises: ValueError naming the column that is wrong."""


class BbhRow(HubRow):
    """lukaemon/bbh, one subset per task."""

    input: str
    target: str

    def asked(self) -> HubQuestion:
        """The input, whose options it holds already."""
        return HubQuestion(self.input, self.target)


class Gsm8kRow(HubRow):
    """openai/gsm8k: the answer is a solution, then a line "#### 72"."""

    question: str
    answer: str

    def asked(self) -> HubQuestion:
        """The number behind the mark, without the commas of thousands."""
        solution, mark, gold = self.answer.rpartition("####")
        if not mark:
            raise ValueError(f'answer: has no line "#### NUMBER", got {self.answer!r:.80}')
        return HubQuestion(
            self.question, gold.strip().replace(",", ""), without_calculator_marks(solution)
        )


class _ArcChoices(BaseModel):
    text: list[str] = Field(min_length=2)
    label: list[str]


class ArcRow(HubRow):
    """allenai/ai2_arc: labels are letters, in some rows numbers."""

    question: str
    choices: _ArcChoices
    answerKey: str  # noqa: N815 - the column's name

    def asked(self) -> HubQuestion:
        """The options by their letters, whatever they are labelled."""
        if self.answerKey not in self.choices.label:
            raise ValueError(f"answerKey: is none of {self.choices.label}, got {self.answerKey!r}")
        gold = self.choices.label.index(self.answerKey)
        return HubQuestion(_with_options(self.question, self.choices.text), _letter(gold))


class AgievalRow(HubRow):
    """hails/agieval-TASK: a prompt with the options in its last paragraph, and once more apart."""

    query: str
    choices: list[str] = Field(min_length=2)
    gold: list[int] = Field(min_length=1, max_length=1)

    def asked(self) -> HubQuestion:
        """The question alone, then one option a line."""
        (gold,) = self.gold
        if not 0 <= gold < len(self.choices):
            raise ValueError(f"gold: there are {len(self.choices)} choices, got {gold}")
        stem = _AGIEVAL_END.sub("", self.query)
        stem = _AGIEVAL_BEGIN.sub("", stem)
        options = [_LABEL.sub("", choice) for choice in self.choices]
        return HubQuestion(_with_options(stem, options), _letter(gold))


class SvampRow(HubRow):
    """ChilleD/SVAMP: a story, and the question about it."""

    Body: str
    Question: str
    Answer: str | float

    def asked(self) -> HubQuestion:
        """Story and question as one text; whole numbers without ".0"."""
        gold = str(self.Answer).strip()
        return HubQuestion(f"{self.Body.strip()} {self.Question.strip()}", gold.removesuffix(".0"))


_AGIEVAL_END: Final = re.compile(
    r"\s*Answer Choices:(?!.*Answer Choices:).*\Z|\s*A: Among [^\n]*\Z", re.DOTALL
)
_AGIEVAL_BEGIN: Final = re.compile(r"\AQ: ")
_LABEL: Final = re.compile(r"\A\s*\([A-Z]\)\s*")


def _with_options(question: str, options: list[str]) -> str:
    lines = [f"{_letter(place)} {text.strip()}" for place, text in enumerate(options)]
    return "\n".join((question.strip(), "Options:", *lines))


def _letter(place: int) -> str:
    return f"({chr(ord('A') + place)})"
