from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.data.questions import record, write
from training.data.profiles import PROFILES
from training.data.records import read_questions
from training.rows import Question


def test_a_record_becomes_a_question(tmp_path: Path) -> None:
    path = write(tmp_path / "bbh.jsonl.gz", record(7, choices=["a", "b"]))
    questions, origins = read_questions(path, PROFILES["bbh"])
    assert questions == [
        Question(
            key="bbh-navigate-00007",
            dataset="bbh",
            task="navigate",
            text="Take 7 steps. Do you return to the start?",
            gold="No",
        )
    ]
    assert origins == {"suzgunmirac/BIG-Bench-Hard@9ee07bd481fe"}


def test_a_persons_solution_loses_its_calculator_marks(tmp_path: Path) -> None:
    row = record(dataset="gsm8k", task="gsm8k", rationale="48/2 = <<48/2=24>>24 clips.")
    (question,), _ = read_questions(write(tmp_path / "g.jsonl", row), PROFILES["gsm8k"])
    assert question.rationale == "48/2 = 24 clips."


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"id": "q"', "row: Invalid JSON: EOF while parsing"),
        ("[1, 2]", "row: Input should be an object"),
        ({key: value for key, value in record().items() if key != "answer"}, "answer: Field req"),
        (record(answer=None), "answer: Input should be a valid string, got None"),
        (record(answer=""), "answer: Value error, is empty, got ''"),
        (record(answer=12), "answer: Input should be a valid string, got 12"),
        (record(question="  "), "question: Value error, is empty"),
        (record(question="a\x00b"), "question: Value error, holds the control character '\\x00'"),
        (record(question="a" * 8001), "question: String should have at most 8000 characters"),
        (record(id="two words"), "id: Value error, must be 1 to 128 characters"),
        (record(choices="(A) x"), "choices: Input should be a valid array, got '(A) x'"),
        (record(rational="typo"), "rational: Extra inputs are not permitted, got 'typo'"),
        (record(task="navigation"), "task: profile bbh has none of that name, got 'navigation'"),
        (record(dataset="gsm8k"), "dataset: is not that of profile bbh, got 'gsm8k'"),
    ],
)
def test_a_bad_line_is_refused_by_file_line_field_and_value(
    tmp_path: Path, bad: str | dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "bbh.jsonl", record(1), bad)
    with pytest.raises(ConfigurationError) as caught:
        read_questions(path, PROFILES["bbh"])
    assert str(caught.value).startswith(f"{path}:2: {said}")
