"""Notes that repeat what only their own question says: its numbers and its names.

Such a note helps with one question and misleads on the next. What is looked for is chosen so
that a finding is nearly always right; a leak in other words is not seen.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from services.common.records import Entry, Note
from services.knowledge.rules.language import number_text
from services.knowledge.rules.values import question_values

GENERAL_NUMBERS: Final = frozenset(
    map(
        Fraction,
        (
            *range(11),
            *(10**power for power in range(2, 10)),
            *("0.001", "0.01", "0.1", "0.25", "0.5", "0.75", "1.5", 20, 25, 50, 75),
            *(12, 24, 28, 29, 30, 31, 52, 60, 365, 366, 3600),  # dozens, calendar, clock
            *(45, 90, 180, 270, 360),  # angles
        ),
    )
)
"""Numbers that stand in formulas, calendars and units, so that a note may well have them."""

_NO_NAMES: Final = frozenset(
    {*calendar.day_name, *calendar.day_abbr, *calendar.month_name, *calendar.month_abbr}
    | {"True", "False", "Yes", "No", "Not", "Option", "Options", "Input", "Output", "Answer"}
    | {"English", "French", "German", "Latin", "Roman", "Celsius", "Fahrenheit", "Christmas"}
)
"""Capitalised words that are no proper name of a person, a place or a thing in a question."""

_WORD = re.compile(r"(?<![\w<])[A-Z][a-z]+(?:-[A-Z][a-z]+)*(?!\w)")
_SENTENCE_ENDS: Final = frozenset(".!?:;=\"'()[]>-\u201c\u2018")


def leaks(entry: Entry) -> tuple[str, ...]:
    """The question's own numbers and names that the note has too, in the question's order."""
    if not isinstance(entry.body, Note):
        return ()
    lines = (*entry.body.learning_summary, *entry.body.supplementary_knowledge)
    numbers = {number for line in lines for number in _numbers(line)}
    named = dict(sorted(name for line in lines for name in _names(line)))  # true comes last
    lower = set(re.findall(r"\b[a-z]+\b", " ".join((entry.question, *lines))))
    found = [
        number_text(number)
        for number in _numbers(entry.question)
        if number in numbers and abs(number) not in GENERAL_NUMBERS
    ]
    found += [
        name
        for name, is_inside in _names(entry.question)
        if name in named and (is_inside or named[name]) and name.lower() not in lower
    ]
    return tuple(dict.fromkeys(found))


def _numbers(text: str) -> Iterator[Fraction]:
    for atom in question_values(text, ()):
        value = atom.arguments[0]
        if atom.predicate == "number" and isinstance(value, Fraction):
            yield value


def _names(text: str) -> Iterator[tuple[str, bool]]:
    """Capitalised words, and whether each stands inside a sentence: then it is surely a name."""
    for found in _WORD.finditer(text):
        if found.group() not in _NO_NAMES:
            yield found.group(), not _begins_sentence(text[: found.start()])


def _begins_sentence(before: str) -> bool:
    """Whether what follows this text is the first word of a sentence or of a line."""
    said = before.rstrip()
    return not said or said[-1] in _SENTENCE_ENDS or "\n" in before[len(said) :]
