"""Two systems on the same questions.

At n = 620 an interval is 8 points wide, so those of two systems overlap where the difference
between them is sure: they are compared question by question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from training.evaluation.intervals import difference, mcnemar
from training.evaluation.score import Answered
from training.evaluation.systems import SYSTEMS


class Comparison(BaseModel):
    """`system` minus `against`, over the questions that both were asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    against: str
    n: int
    gained: int = Field(description="Questions that only `system` answers right.")
    lost: int = Field(description="Questions that only `against` answers right.")
    gain: float = Field(description="Difference of the accuracies, -1 to 1.")
    low: float = Field(description="95 % interval of the gain (Agresti and Min).")
    high: float
    p: float = Field(description="McNemar, exact, two-sided; not corrected for many comparisons.")


def compare(name: str, against: str, systems: Mapping[str, Sequence[Answered]]) -> Comparison:
    """Compares two of the systems by the questions' keys."""
    theirs = {one.question.key: one.attempt.correct for one in systems[against]}
    pairs = [
        (theirs[one.question.key], one.attempt.correct)
        for one in systems[name]
        if one.question.key in theirs
    ]
    gained = sum(is_ours and not is_theirs for is_theirs, is_ours in pairs)
    lost = sum(is_theirs and not is_ours for is_theirs, is_ours in pairs)
    interval = difference(lost, gained, len(pairs))
    return Comparison(
        system=name,
        against=against,
        n=len(pairs),
        gained=gained,
        lost=lost,
        gain=(gained - lost) / len(pairs) if pairs else 0.0,
        low=interval.low,
        high=interval.high,
        p=mcnemar(lost, gained),
    )


def comparisons(systems: Mapping[str, Sequence[Answered]]) -> tuple[Comparison, ...]:
    """Every comparison that the table of systems asks for, among those that were evaluated."""
    return tuple(
        compare(name, against, systems)
        for name in systems
        for against in SYSTEMS[name].against
        if against in systems
    )
