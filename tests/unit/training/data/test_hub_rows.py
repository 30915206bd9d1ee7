"""Rows as the datasets on the hub have them, one per layout."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.common import answers
from training.data.hub_rows import HubQuestion
from training.data.profiles import PROFILES

ROWS: dict[str, tuple[dict[str, Any], HubQuestion]] = {
    "bbh": (
        {"input": "not True is", "target": "False"},
        HubQuestion("not True is", "False"),
    ),
    "gsm8k": (
        {"question": "How many?", "answer": "1000+234 = <<1000+234=1234>>1234\n#### 1,234"},
        HubQuestion("How many?", "1234", "1000+234 = 1234"),
    ),
    "arc_easy": (
        {
            "id": "Mercury_1",
            "question": "Which is a metal?",
            "choices": {"text": ["wood", "iron", "salt"], "label": ["1", "2", "3"]},
            "answerKey": "2",
        },
        HubQuestion("Which is a metal?\nOptions:\n(A) wood\n(B) iron\n(C) salt", "(B)"),
    ),
    "agieval": (
        {
            "query": "Q: If x = 3, what is 2x?Answer Choices: (A)5 (B)6 (C)9\n"
            "A: Among A through C, the answer is",
            "choices": ["(A)5", "(B)6", "(C)9"],
            "gold": [1],
        },
        HubQuestion("If x = 3, what is 2x?\nOptions:\n(A) 5\n(B) 6\n(C) 9", "(B)"),
    ),
    "svamp": (
        {
            "ID": "chal-1",
            "Body": "Ann has 8 pens. She gives 3 away",
            "Question": "How many are left?",
            "Equation": "( 8.0 - 3.0 )",
            "Answer": "5.0",
        },
        HubQuestion("Ann has 8 pens. She gives 3 away How many are left?", "5"),
    ),
}


@pytest.mark.parametrize("profile", ROWS)
def test_a_row_becomes_a_question_with_its_options_and_gold_answer(profile: str) -> None:
    row, expected = ROWS[profile]
    asked = PROFILES[profile].row.model_validate(row).asked()
    assert asked == expected
    said = answers.extract(f"So the answer is {expected.gold}.")
    assert answers.is_correct(said, asked.gold, question=asked.question)


def test_every_profile_has_a_layout_that_is_tested() -> None:
    tested = {PROFILES[name].row for name in ROWS}
    assert {profile.row for profile in PROFILES.values()} == tested


def test_agievals_passage_stays_and_only_its_last_options_go() -> None:
    row = {
        "query": "Passage with Answer Choices: none. Q: Why?Answer Choices: (A)x (B)y\n"
        "A: Among A through B, the answer is",
        "choices": ["(A)x", "(B)y"],
        "gold": [0],
    }
    question = PROFILES["agieval"].row.model_validate(row).asked().question
    assert question == "Passage with Answer Choices: none. Q: Why?\nOptions:\n(A) x\n(B) y"


def test_svamps_answer_may_be_a_number() -> None:
    row = ROWS["svamp"][0] | {"Answer": 2.5}
    assert PROFILES["svamp"].row.model_validate(row).asked().gold == "2.5"


@pytest.mark.parametrize(
    ("profile", "changes", "said"),
    [
        ("gsm8k", {"answer": "1234"}, 'answer: has no line "#### NUMBER"'),
        ("arc_easy", {"answerKey": "D"}, r"answerKey: is none of \['1', '2', '3'\], got 'D'"),
        ("agieval", {"gold": [3]}, "gold: there are 3 choices, got 3"),
        ("agieval", {"gold": []}, "gold"),
        ("bbh", {"target": None}, "target"),
    ],
)
def test_a_bad_row_names_its_column(profile: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=said):
        PROFILES[profile].row.model_validate(ROWS[profile][0] | changes).asked()
