"""The threshold, chosen on hand-made rows."""

from __future__ import annotations

import pytest

from services.common.records import GateDecision
from tests.unit.training.evaluation.attempts import answered
from training.evaluation.sweep import Calibration, Tried, calibrate, thresholds
from training.evaluation.systems import PAPER_THRESHOLD


def _tried(number: int, confidence: float, *, direct: bool, reasoned: bool) -> Tried:
    first = answered(
        number,
        correct=direct,
        decision=GateDecision.DIRECT,
        confidence=confidence,
        completion_tokens=2,
    )
    second = answered(number, correct=reasoned, completion_tokens=50)
    return Tried(first.question, first.attempt, second.attempt)


def _without_direct_answer(number: int, *, correct: bool) -> Tried:
    row = answered(
        number,
        correct=correct,
        decision=GateDecision.REASON_WITH_KNOWLEDGE,
        confidence=0.9,
        completion_tokens=60,
    )
    return Tried(row.question, row.attempt, row.attempt)


SURE_IS_RIGHT = [
    _tried(1, 0.9, direct=True, reasoned=False),
    _tried(2, 0.8, direct=True, reasoned=True),
    _tried(3, 0.4, direct=False, reasoned=True),
    _tried(4, 0.2, direct=False, reasoned=True),
]


def test_the_threshold_lies_between_the_sure_and_the_unsure() -> None:
    found = calibrate(SURE_IS_RIGHT)
    assert found.threshold == pytest.approx(0.6)
    assert found.chosen is not None
    assert (found.chosen.accuracy.right, found.chosen.accuracy.n) == (4, 4)
    assert found.chosen.direct == 0.5
    assert found.chosen.completion_tokens == (2 + 2 + 52 + 52) / 4


def test_every_threshold_that_differs_is_on_the_curve() -> None:
    assert thresholds(SURE_IS_RIGHT) == pytest.approx([0, 0.3, 0.6, 0.85, 1])
    found = calibrate(SURE_IS_RIGHT)
    assert [point.accuracy.right for point in found.curve] == [2, 3, 4, 4, 3]
    assert [point.direct for point in found.curve] == [1, 0.75, 0.5, 0.25, 0]


def test_of_equally_good_thresholds_the_cheaper_one_is_chosen() -> None:
    same = [_tried(number, number / 10, direct=True, reasoned=True) for number in range(1, 6)]
    found = calibrate(same)
    assert found.threshold == 0
    assert found.chosen is not None
    assert found.chosen.direct == 1


def test_a_student_whose_direct_answers_are_wrong_always_reasons() -> None:
    wrong = [_tried(number, number / 10, direct=False, reasoned=True) for number in range(1, 6)]
    found = calibrate(wrong)
    assert found.threshold == 1
    assert found.chosen is not None
    assert found.chosen.direct == 0


def test_an_answer_that_never_stands_directly_counts_as_reasoned() -> None:
    rows = [_without_direct_answer(1, correct=True), _without_direct_answer(2, correct=False)]
    found = calibrate(rows)
    assert [(point.accuracy.right, point.direct) for point in found.curve] == [(1, 0), (1, 0)]
    assert found.curve[0].completion_tokens == 60


def test_the_papers_threshold_stands_beside() -> None:
    found = calibrate([*SURE_IS_RIGHT, _tried(5, 0.65, direct=True, reasoned=False)])
    assert found.paper is not None
    assert found.paper.threshold == PAPER_THRESHOLD
    assert (found.paper.accuracy.right, found.threshold) == (4, pytest.approx(0.525))
    assert found.against_paper is not None
    assert (found.against_paper.gained, found.against_paper.lost) == (1, 0)


def test_the_note_says_how_little_a_few_questions_show() -> None:
    note = calibrate(SURE_IS_RIGHT).note
    assert note.startswith("4 of 4 right, 95 % interval 0.510 to 1.000")
    assert "chosen on these very questions" in note
    assert "p = 1.00" in note


def test_without_questions_the_papers_threshold_is_taken_and_that_is_said() -> None:
    found = calibrate([])
    assert (found.threshold, found.questions, found.curve) == (PAPER_THRESHOLD, 0, ())
    assert "data.dev_share" in found.note


def test_a_calibration_is_read_as_it_was_written() -> None:
    found = calibrate(SURE_IS_RIGHT)
    assert Calibration.model_validate_json(found.model_dump_json()) == found
