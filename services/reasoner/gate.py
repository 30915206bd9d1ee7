"""The confidence gate: does the direct answer stand?"""

from __future__ import annotations

from collections.abc import Sequence

from services.student.protocol import FinishReason, TokenGap

_NOT_ANSWER = frozenset({"", "."})


def answer_confidence(tokens: Sequence[TokenGap]) -> float | None:
    """Mean of p(best) - p(second best) over the answer's tokens, 0 to 1.

    Source: NesyCD, Inference. The closing point, line end and end-of-text tokens are not
    part of the answer. None when no token is left.
    """
    kept = list(tokens)
    while kept and kept[-1].text.strip() in _NOT_ANSWER:
        kept.pop()
    return sum(token.gap for token in kept) / len(kept) if kept else None


def stands(
    confidence: float | None, answer: str, finish_reason: FinishReason, *, threshold: float
) -> tuple[bool, str]:
    """Whether the direct answer stands, and why, in words.

    An empty answer, or one that did not end by itself, never stands.
    """
    if not answer or confidence is None:
        return False, "the direct pass gave no answer"
    if finish_reason is FinishReason.LENGTH:
        return False, "the direct answer was cut off by the token limit"
    if finish_reason is FinishReason.LOOP:
        return False, "the direct answer went round in a loop"
    if confidence >= threshold:
        return True, f"confidence {confidence:.3f} is at or above the threshold {threshold:.3f}"
    return False, f"confidence {confidence:.3f} is below the threshold {threshold:.3f}"
