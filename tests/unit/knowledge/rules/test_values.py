"""What is read from a question."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.knowledge.rules.values import (
    QUESTION_PREDICATES,
    plain_number,
    question_values,
    singular,
)

NAMES = ["Paris", "New York", "York", "new_york_city", "C++", "penguin", "São Paulo"]


def read(question: str, predicate: str) -> list[str]:
    atoms = question_values(question, NAMES)
    return [str(atom) for atom in atoms if atom.predicate == predicate]


@pytest.mark.parametrize(
    ("question", "numbers"),
    [
        ("1,200 and 3.5 and -4", ["1200", "3.5", "-4"]),
        ("1, 2,3 and 10,20", ["1", "2", "3", "10", "20"]),
        ("5-3 is 2.", ["5", "3", "2"]),
        ("(\u22123)", ["-3"]),
        ("Seven, TWELVE, twenty and forty-two", ["7", "12", "20", "42"]),
        ("two hundred, 3 million, two dozen", ["200", "3000000", "24"]),
        ("the 3rd, the 21st, A4, x2, 2nd, v1.2.3", []),
        ("someone often weighs attentively", []),
        ("5 5 5.0", ["5"]),
        ("25% of 80", ["25", "80"]),
        ("7" * 41, []),
        ("f\u0131ve \u017fix", []),
    ],
)
def test_numbers_are_read(question: str, numbers: list[str]) -> None:
    assert read(question, "number") == [f"number({number})" for number in numbers]


@pytest.mark.parametrize(
    ("question", "quantities"),
    [
        ("3 hours and 5km", ["3, hour", "5, km"]),
        ("a 3-hour trip, six Inches, two 5-pound bags", ["3, hour", "6, inch", "5, pound"]),
        ("25% of 12.5 %", ["25, percent", "12.5, percent"]),
        ("$5 each, \u20ac1,000, \u00a32 million", ["5, dollar", "1000, euro", "2000000, pound"]),
        ("I have 3. Hours later (4) boxes", []),
        ("3 ÅRE", ['3, "åre"']),
    ],
)
def test_a_number_with_the_word_behind_it_is_a_quantity(
    question: str, quantities: list[str]
) -> None:
    assert read(question, "quantity") == [f"quantity({one})" for one in quantities]


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Is PARIS far from paris?", ['"Paris"']),
        ("Is New  York City big?", ["new_york_city"]),
        ("New York or York?", ['"New York"', '"York"']),
        ("Paris's penguin in Sa\u0303o Paulo", ['"Paris"', "penguin", '"São Paulo"']),
        ("Does c rhyme?", ['"C++"']),
        ("comparison", []),
    ],
)
def test_names_are_found_as_whole_words(question: str, names: list[str]) -> None:
    assert read(question, "mentions") == [f"mentions({name})" for name in names]


def test_days_and_months_are_read_with_a_capital_only() -> None:
    question = "May I come on Monday, not on Tuesdays, in May or march or on sunday?"
    assert read(question, "weekday") == ['weekday("Monday")', 'weekday("Tuesday")']
    assert read(question, "month") == ['month("May")']


@pytest.mark.parametrize(
    ("plural", "unit"),
    [
        ("Hours", "hour"),
        ("hour", "hour"),
        ("inches", "inch"),
        ("boxes", "box"),
        ("glasses", "glass"),
        ("glass", "glass"),
        ("berries", "berry"),
        ("pies", "pie"),
        ("miles", "mile"),
        ("feet", "foot"),
        ("people", "person"),
        ("bus", "bus"),
        ("s", "s"),
    ],
)
def test_units_are_singular(plural: str, unit: str) -> None:
    assert singular(plural) == unit


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", Fraction(42)),
        (" -1,200.50 ", Fraction(-2401, 2)),
        ("42 km", None),
        ("1e3", None),
        ("", None),
        ("9" * 41, None),
        ("٣", None),
    ],
)
def test_a_plain_number_is_a_number(text: str, number: Fraction | None) -> None:
    assert plain_number(text) == number


@given(st.text() | st.text("12.,-$%stndrh efivx\u0130\u0131\u017f\u212a"))
def test_any_text_is_read(question: str) -> None:
    for atom in question_values(question, NAMES):
        assert len(atom.arguments) == QUESTION_PREDICATES[atom.predicate]


@pytest.mark.parametrize("part", ["-", "1,", "1", " ", "1,000", "one ", "$", "a"])
def test_a_long_text_takes_time_in_proportion(part: str) -> None:
    started = time.process_time()
    question_values(part * 50_000 + "%", NAMES)
    assert time.process_time() - started < 3
