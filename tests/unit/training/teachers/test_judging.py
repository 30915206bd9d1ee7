from __future__ import annotations

import pytest

from services.common import answers
from training.rows import Question, Rationale
from training.teachers.judging import Refusal, judge


def question(gold: str = "203", *, rationale: str = "", text: str = "How many?") -> Question:
    return Question(
        key="q", dataset="svamp", task="svamp", text=text, gold=gold, rationale=rationale
    )


def written(text: str) -> Rationale:
    return Rationale(key="q#0", question="q", teacher="t", text=text, completion_tokens=9)


def test_a_right_rationale_is_kept_in_the_form_that_is_fitted() -> None:
    kept = judge(question(), written("29 * 7 = 203\n\nTherefore, the answer is <203>."))
    assert kept.text == "29 * 7 = 203\nTherefore, the answer is 203."
    assert (kept.answer, kept.reason, kept.error) == ("<203>", "", "")
    assert (kept.key, kept.teacher, kept.completion_tokens) == ("q#0", "t", 9)


def test_options_of_the_question_are_known() -> None:
    asked = question("(B)", text="Which?\nOptions:\n(A) red\n(B) green")
    assert not judge(asked, written("Grass. So the answer is green.")).reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Refusal.EMPTY),
        (" \n", Refusal.EMPTY),
        ("29 * 7 = 203, so he has 203.", Refusal.NO_ANSWER),
        ("29 * 7 = 203. So the answer is", Refusal.NO_ANSWER),
        ("29 * 7 = 204. So the answer is 204.", Refusal.WRONG_ANSWER),
        ("It is 203. So the answer is 203. Wait. The answer is 204.", Refusal.WRONG_ANSWER),
        ("So the answer is 203.", Refusal.NO_REASONING),
        ("Let's think step by step. The answer is 203.", Refusal.NO_REASONING),
        ("9 * 2 = 18. " * 30 + "So the answer is 203.", Refusal.LOOP),
        ("It is 203.\nQuestion: How many now?\nSo the answer is 203.", Refusal.HOLDS_STOP),
    ],
)
def test_a_refused_rationale_stays_as_it_was_with_the_reason(text: str, reason: str) -> None:
    rejected = judge(question(), written(text))
    assert rejected.reason == reason
    assert rejected.text == text


def test_the_benchmarks_own_solution_needs_no_answer_sentence() -> None:
    asked = question("24", rationale="He sold 48/2 = 24 clips.")
    kept = judge(asked, written("He sold 48/2 = <<48/2=24>>24 clips."))
    assert kept.text == "He sold 48/2 = 24 clips.\nTherefore, the answer is 24."
    assert kept.answer == "24"
    other = judge(asked, written("He sold 24 clips."))
    assert other.reason == Refusal.NO_ANSWER


def test_what_is_kept_is_right_when_it_is_read_again() -> None:
    kept = judge(question("1.5"), written("3 / 2 = 1.5. #### 1.5"))
    assert kept.reason == Refusal.NO_ANSWER  # the mark stands on a line of its own
    kept = judge(question("1.5"), written("3 / 2 = 1.5.\n#### 1.50"))
    assert answers.is_correct(answers.extract(kept.text), "1.5")
