"""How good a system is on a set of questions: counts, shares, intervals, cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.intervals import mean_of_shares, wilson
from training.rows import Attempt, Question


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and what one system made of it."""

    question: Question
    attempt: Attempt


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Share(_Part):
    """Right answers of so many, with a 95 % interval (Wilson)."""

    right: int
    n: int
    accuracy: float = Field(description="0 to 1; 0 where n is 0.")
    low: float
    high: float

    @classmethod
    def of(cls, rights: Iterable[bool]) -> Self:
        """Counts."""
        counted = list(rights)
        right, n = sum(counted), len(counted)
        interval = wilson(right, n)
        accuracy = right / n if n else 0.0
        return cls(right=right, n=n, accuracy=accuracy, low=interval.low, high=interval.high)


class Macro(_Part):
    """Mean of the tasks' accuracies, with a 95 % interval."""

    tasks: int
    accuracy: float
    low: float
    high: float


class Score(_Part):
    """One system on one benchmark."""

    micro: Share = Field(description="Over the questions.")
    macro: Macro = Field(description="Over the tasks.")
    tasks: dict[str, Share]
    decisions: dict[str, Share] = Field(description="By decision of the gate.")
    unparsed: int = Field(description="Texts without an answer; counted as wrong.")
    degenerate: dict[str, int] = Field(
        description="Texts that loop, are cut off or do not fit the context, right or wrong."
    )
    prompt_tokens: float = Field(description="Read per question, over all passes.")
    completion_tokens: float = Field(description="Written per question, over all passes.")
    seconds: float = Field(description="Median per question, many at a time.")


def score(answered: Sequence[Answered]) -> Score:
    """Scores one system on the questions of one benchmark; at least one."""
    tasks = _shares(answered, {one.question.key: one.question.task for one in answered})
    mean, interval = mean_of_shares([(share.right, share.n) for share in tasks.values()])
    attempts = [one.attempt for one in answered]
    return Score(
        micro=Share.of(one.attempt.correct for one in answered),
        macro=Macro(tasks=len(tasks), accuracy=mean, low=interval.low, high=interval.high),
        tasks=tasks,
        decisions=_shares(
            [one for one in answered if one.attempt.decision],
            {one.question.key: one.attempt.decision for one in answered},
        ),
        unparsed=sum(attempt.unparsed for attempt in attempts),
        degenerate=_counted(attempt.degenerate for attempt in attempts),
        prompt_tokens=_mean([attempt.prompt_tokens for attempt in attempts]),
        completion_tokens=_mean([attempt.completion_tokens for attempt in attempts]),
        seconds=_median([attempt.seconds for attempt in attempts]),
    )


def by_dataset(answered: Iterable[Answered]) -> dict[str, list[Answered]]:
    """Split by benchmark."""
    groups: dict[str, list[Answered]] = defaultdict(list)
    for one in answered:
        groups[one.question.dataset].append(one)
    return dict(groups)


def _shares(answered: Sequence[Answered], groups: Mapping[str, str]) -> dict[str, Share]:
    """Right answers by the group of each question's key, groups in order of their names."""
    rights: dict[str, list[bool]] = defaultdict(list)
    for one in answered:
        rights[groups[one.question.key]].append(one.attempt.correct)
    return {group: Share.of(rights[group]) for group in sorted(rights)}


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    counts = Counter(reason for reason in reasons if reason)
    return {reason: counts[reason] for reason in sorted(counts)}


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 1) if values else 0.0


def _median(values: Sequence[float]) -> float:
    return round(sorted(values)[len(values) // 2], 3) if values else 0.0
