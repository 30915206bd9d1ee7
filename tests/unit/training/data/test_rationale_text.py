from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import answers
from training.data.rationale_text import (
    answer_of,
    normalised,
    reasoning_of,
    without_calculator_marks,
)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("A is True. So the answer is False.", "A is True.", "False"),
        ("It is 203.\n\nTherefore, the answer is <203>.", "It is 203.", "<203>"),
        ("48 + 24 = <<48+24=72>>72 clips.\n#### 72", "48 + 24 = 72 clips.", "72"),
        ("Option B fits. The final answer is (B).", "Option B fits.", "(B)"),
        ("It fits.\nThus the correct answer is: **(B)**", "It fits.", "(B)"),
        ("It is 5.\nHence, the answer is 5. Good luck!", "It is 5.", "5"),
        ("Let's think step by step. One. So the answer is 1.", "One.", "1"),
        ("The answer is 4. Wait, 2 + 3 = 5. So the answer is 5.", None, "5"),
        ("Since 5 > 3, the answer is 5.", "Since 5 > 3, the answer is 5.", "5"),
        ("We pop ')' last. So the answer is ) > >.", "We pop ')' last.", ") > >"),
        ("Then 2 * 3.\nSo \\boxed{6}", None, "6"),
        ("He has 5 left.", "He has 5 left.", ""),
        ("So the answer is 5.", "", "5"),
        ("", "", ""),
    ],
)
def test_reasoning_and_answer_of_a_rationale(text: str, reasoning: str | None, answer: str) -> None:
    assert answer_of(text) == answer
    if reasoning is not None:
        assert reasoning_of(text) == reasoning


def test_only_the_last_answer_sentence_goes() -> None:
    text = "The answer is 4. Wait, 2 + 3 = 5. So the answer is 5."
    assert reasoning_of(text) == "The answer is 4. Wait, 2 + 3 = 5."


def test_calculator_marks_go_and_answers_in_angle_brackets_stay() -> None:
    text = "<<48/2=24>>24 and <203> and 1 << 2 >> 3"
    assert without_calculator_marks(text) == "24 and <203> and 1 << 2 >> 3"


PIECES = ["So the answer is ", "the answer is", "(B)", ". ", ".", "\n", "5", " <203>", "####"]
PIECES += ["<<1=1>>", "Wait, ", "\\boxed{7}", "Let's think step by step.", "since 5 > 3, ", ":"]


@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.sampled_from(["(A)", "-3", "1.5", "False", ") > >", "apple pie"]),
)
def test_the_form_that_is_fitted_always_gives_the_gold_answer_and_is_its_own_form(
    reasoning: str, gold: str
) -> None:
    text = normalised(reasoning_of(reasoning), gold)
    assert answers.is_correct(answers.extract(text), gold)
    assert normalised(reasoning_of(text), gold) == text
