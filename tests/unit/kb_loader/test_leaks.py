from __future__ import annotations

import json
from pathlib import Path

import pytest

from kb_loader.leaks import leaks
from services.knowledge.content import NoteRow, entry_of
from tests.unit.kb_loader.entries import fact_entry, note_entry

SAMPLE = Path(__file__).parents[3] / "kb_loader" / "sample" / "notes.jsonl"

LEAKING = [
    ("A train goes 137 km in 2 hours.", "Divide 137 by the time.", ("137",)),
    ("A train goes 1,370 km.", "Take the 1370 km.", ("1370",)),
    ("It costs $37.50 with 15% off.", "37.5 is the price; 15% comes off.", ("37.5", "15")),
    ("Seventeen birds sit in a tree.", "Begin with 17.", ("17",)),
    ("Who has more, Liv or Bo?", "Ask what Liv has.", ("Liv",)),
    ("Liv has 2 apples.", "Count what Liv has.", ("Liv",)),
    ("How many did Natalia sell?", "Natalia sold half as many.", ("Natalia",)),
    ("Is Anna-Lena older than Bo?", "Compare Bo with Anna-Lena.", ("Anna-Lena", "Bo")),
]


@pytest.mark.parametrize(("question", "line", "expected"), LEAKING)
def test_the_questions_own_numbers_and_names_are_found(
    question: str, line: str, expected: tuple[str, ...]
) -> None:
    assert leaks(note_entry("n", question, "Think first.", line)) == expected


CLEAN = [
    ("What is 60 minutes in seconds?", "A minute has 60 seconds."),
    ("Which is 2 + 3?", "2 + 2 = 4 and 3 + 3 = 6."),
    ("Take 100 from 1000.", "100 cm are 1 m, 1000 m are 1 km."),
    ("In March 2021 it was a Monday.", "March has 31 days. After Sunday comes Monday."),
    ("not True and False is", "not turns True into False."),
    ("The cat sat. Is the cat here?", "The place is what counts: is The mat here?"),
    ("Find the sum of 41 and 43.", "Find the units first."),
    ("Options:\n(A) The first\n(B) The last", "The order matters. In the end, count."),
    ("What are 392 degrees Fahrenheit in Celsius?", "Celsius = (Fahrenheit - 32) x 5 / 9."),
    ('<path d="M 12.50,40.00 L 21.30,18.20"/>', "M lifts the pen, L draws."),
    ("What is the 27th day?", "Count 27 as 20 and 7."),
]


@pytest.mark.parametrize(("question", "line"), CLEAN)
def test_what_is_general_is_no_leak(question: str, line: str) -> None:
    assert leaks(note_entry("n", question, line)) == ()


def test_facts_and_rules_do_not_leak() -> None:
    assert leaks(fact_entry("f", "Paris", "capital_of", "France")) == ()


def test_the_sample_was_written_without_leaks() -> None:
    rows = [NoteRow.model_validate_json(line) for line in SAMPLE.read_text().splitlines()]
    assert {row.id: leaks(entry_of(row)) for row in rows if leaks(entry_of(row))} == {}


def test_a_leak_put_into_any_note_of_the_sample_is_found() -> None:
    """Its question's first number from 11 on that is not general, said in words of its own."""
    planted = found = 0
    for line in SAMPLE.read_text().splitlines():
        row = json.loads(line)
        numbers = [word.strip(".,?%$") for word in row["question"].split()]
        own = [word for word in numbers if word.isdecimal() and len(word) in {3, 4, 5}]
        if not own or int(own[0]) % 100 in {0, 80} or own[0].startswith("0"):
            continue
        planted += 1
        row["learning_summary"].append(f"Here the value {own[0]} matters.")
        found += str(int(own[0])) in leaks(entry_of(NoteRow.model_validate(row, strict=False)))
    assert found == planted > 10
