import pytest

from services.reasoner.gate import answer_confidence, stands
from services.student.protocol import FinishReason, TokenGap


def gaps(*pairs: tuple[str, float]) -> list[TokenGap]:
    return [TokenGap(text, gap) for text, gap in pairs]


@pytest.mark.parametrize(
    ("tokens", "confidence"),
    [
        ([], None),
        ([(" 18", 0.8)], 0.8),
        ([(" 1", 0.5), ("8", 0.7)], 0.6),
        # The closing point, the line end and the end-of-text token are no answer tokens.
        ([(" 18", 0.8), (".", 0.1), ("\n", 0.0), ("", 0.0)], 0.8),
        ([(".", 0.4)], None),
        # A point inside the answer is one.
        ([(" 3", 0.9), (".", 0.6), ("5", 0.9)], 0.8),
    ],
)
def test_confidence_is_the_mean_gap_over_answer_tokens(tokens, confidence):
    measured = answer_confidence(gaps(*tokens))
    assert measured == (None if confidence is None else pytest.approx(confidence))


@pytest.mark.parametrize(
    ("confidence", "answer", "finish", "standing", "reason"),
    [
        (0.7, "18", FinishReason.STOP, True, "confidence 0.700 is at or above the threshold 0.680"),
        (
            0.68,
            "18",
            FinishReason.STOP,
            True,
            "confidence 0.680 is at or above the threshold 0.680",
        ),
        (0.67, "18", FinishReason.STOP, False, "confidence 0.670 is below the threshold 0.680"),
        (0.99, "", FinishReason.STOP, False, "the direct pass gave no answer"),
        (None, "18", FinishReason.STOP, False, "the direct pass gave no answer"),
        (
            0.99,
            "18",
            FinishReason.LENGTH,
            False,
            "the direct answer was cut off by the token limit",
        ),
        (0.99, "18", FinishReason.LOOP, False, "the direct answer went round in a loop"),
    ],
)
def test_a_direct_answer_stands_when_confident_whole_and_not_empty(
    confidence, answer, finish, standing, reason
):
    assert stands(confidence, answer, finish, threshold=0.68) == (standing, reason)
