"""Which rationales a student learns from: those whose own answer is right (stage 1 of NesyCD)."""

from __future__ import annotations

from enum import StrEnum

from services.common import answers
from services.common.prompts import REASON_STOP
from training.data.rationale_text import (
    answer_of,
    normalised,
    reasoning_of,
    without_calculator_marks,
)
from training.repetition import is_repetitive
from training.rows import Question, Rationale


class Refusal(StrEnum):
    """Why a rationale is rejected."""

    EMPTY = "empty"
    LOOP = "loop"
    NO_ANSWER = "no answer"
    WRONG_ANSWER = "wrong answer"
    NO_REASONING = "no reasoning"
    HOLDS_STOP = "holds a stop string"
    REPEATED = "same as another sample"


def judge(question: Question, rationale: Rationale) -> Rationale:
    """The rationale in the form that is fitted, or as it was with the reason of its refusal.

    The benchmark's own solution needs no answer sentence: it is right by definition.
    """
    text = rationale.text
    is_solution = bool(text) and without_calculator_marks(text) == question.rationale
    answer = question.gold if is_solution else answer_of(text)
    reasoning = reasoning_of(text)
    refusal = _refusal(question, text, answer, reasoning)
    if refusal:
        return rationale.model_copy(update={"answer": answer, "reason": refusal.value})
    kept = {"answer": answer, "text": normalised(reasoning, question.gold)}
    return rationale.model_copy(update=kept)


def _refusal(question: Question, text: str, answer: str, reasoning: str) -> Refusal | None:
    checks = {
        Refusal.EMPTY: not text.strip(),
        Refusal.LOOP: is_repetitive(text),
        Refusal.NO_ANSWER: not answer,
        Refusal.WRONG_ANSWER: not answers.is_correct(answer, question.gold, question=question.text),
        Refusal.NO_REASONING: not reasoning,
        Refusal.HOLDS_STOP: any(stop in f"\n{reasoning}" for stop in REASON_STOP),
    }
    return next((refusal for refusal, applies in checks.items() if applies), None)
