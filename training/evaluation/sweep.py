"""The gate's threshold, chosen on questions kept out of training.

Each question is answered twice: directly, with its confidence, and reasoned with knowledge.
What any threshold would give is reckoned from that, without asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from services.common.records import GateDecision
from training.evaluation.comparison import Comparison, compare
from training.evaluation.score import Answered, Share
from training.evaluation.systems import PAPER_THRESHOLD
from training.row_file import parse_row
from training.rows import Attempt, Question


@dataclass(frozen=True, slots=True)
class Tried:
    """A question answered both ways.

    Attributes:
        direct: with threshold 0: the direct answer, unless it cannot stand at any.
        reasoned: with knowledge.
    """

    question: Question
    direct: Attempt
    reasoned: Attempt

    @property
    def confidence(self) -> float | None:
        """Of a direct answer that stands at threshold 0, else None."""
        return self.direct.confidence if self._stood else None

    @property
    def _stood(self) -> bool:
        return self.direct.decision == GateDecision.DIRECT.value

    def at(self, threshold: float) -> tuple[Attempt, int]:
        """The attempt that stands at a threshold, and the tokens written for it."""
        if not self._stood:  # the answer with threshold 0 was reasoned, its tokens are of both
            return self.direct, self.direct.completion_tokens
        if self.confidence is not None and self.confidence >= threshold:
            return self.direct, self.direct.completion_tokens
        return self.reasoned, self.direct.completion_tokens + self.reasoned.completion_tokens


class Point(BaseModel):
    """What one threshold gives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float
    accuracy: Share
    direct: float = Field(description="Share of the direct answers that stand, 0 to 1.")
    completion_tokens: float = Field(description="Written per question.")


class Calibration(BaseModel):
    """thresholds.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(ge=0, le=1, description="The one to serve with.")
    questions: int = Field(description="That it was chosen on.")
    note: str = Field(description="How far to trust it.")
    chosen: Point | None = None
    paper: Point | None = Field(None, description="At the paper's threshold.")
    against_paper: Comparison | None = Field(
        None, description="The chosen threshold against the paper's, question by question."
    )
    curve: tuple[Point, ...] = Field((), description="All thresholds that differ, rising.")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file. Raises: ConfigurationError."""
        return parse_row(path.read_bytes(), cls, str(path))


def calibrate(tried: Sequence[Tried]) -> Calibration:
    """The threshold of the best accuracy; of several, the one with most direct answers."""
    if not tried:
        return Calibration(
            threshold=PAPER_THRESHOLD,
            questions=0,
            note="no question was kept for calibration (data.dev_share): the paper's threshold",
        )
    curve = tuple(_point(tried, threshold) for threshold in thresholds(tried))
    chosen = max(curve, key=lambda point: (point.accuracy.right, point.direct, -point.threshold))
    paper = _point(tried, PAPER_THRESHOLD)
    rivals = {
        f"threshold {threshold}": [Answered(one.question, one.at(threshold)[0]) for one in tried]
        for threshold in (chosen.threshold, PAPER_THRESHOLD)
    }
    names = (f"threshold {chosen.threshold}", f"threshold {PAPER_THRESHOLD}")
    against_paper = compare(*names, rivals)
    return Calibration(
        threshold=chosen.threshold,
        questions=len(tried),
        note=_note(chosen, against_paper),
        chosen=chosen,
        paper=paper,
        against_paper=against_paper,
        curve=curve,
    )


def thresholds(tried: Sequence[Tried]) -> list[float]:
    """0, 1 and one between each two neighbours among the confidences seen.

    Half-way, so that noise in the last digit of a confidence moves no answer.
    """
    seen = sorted({one.confidence for one in tried if one.confidence is not None})
    return sorted({0.0, *((low + high) / 2 for low, high in pairwise(seen)), 1.0})


def _point(tried: Sequence[Tried], threshold: float) -> Point:
    standing = [one.at(threshold) for one in tried]
    direct = sum(
        one.confidence is not None and attempt is one.direct
        for one, (attempt, _) in zip(tried, standing, strict=True)
    )
    return Point(
        threshold=threshold,
        accuracy=Share.of(attempt.correct for attempt, _ in standing),
        direct=direct / len(tried),
        completion_tokens=round(sum(tokens for _, tokens in standing) / len(tried), 1),
    )


def _note(chosen: Point, against_paper: Comparison) -> str:
    share = chosen.accuracy
    return (
        f"{share.right} of {share.n} right, 95 % interval {share.low:.3f} to {share.high:.3f}; "
        f"chosen on these very questions, so expect somewhat less. Against the paper's "
        f"{PAPER_THRESHOLD}: {against_paper.gained} gained, {against_paper.lost} lost, "
        f"p = {against_paper.p:.2f}"
    )
