"""Reads the answer out of what a student wrote, and compares answers.

One reader for serving, evaluation and training. The published scorer's known failures
(method notes, section 3) are mended here, each held by a test: the last "the answer is"
wins, numbers compare by value, choices by letter or else by option text, and an empty
answer is never right.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_CUE = re.compile(r"\bthe (?:final |correct )?answer is\b[ \t]*:?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|\n")
_WRAPPING = "\"'`*$ \t\u201c\u201d\u2018\u2019"
_NUMBER = re.compile(r"[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:\s*/\s*\d+)?")
_PARENTHESISED_LETTER = re.compile(r"^\(([A-Za-z])\)")
_OPTION_LETTER = re.compile(r"^(?:(?i:option|choice|answer)\s+)?\(?([A-Z])\)?(?=[\s.:,)]|$)")
_OPTION_LINE = re.compile(r"^\s*\(([A-Z])\)\s*(.+?)\s*$", re.MULTILINE)
_VERDICTS = frozenset({"yes", "no", "true", "false", "valid", "invalid"})


def extract(text: str) -> str:
    """The answer in a completion; "" when it holds none.

    The last answer phrase wins over earlier ones, so a correction counts. The answer ends
    with its sentence or line; a point inside a number does not end it.
    """
    cues = list(_CUE.finditer(text))
    return clean(text[cues[-1].end() :]) if cues else ""


def clean(tail: str) -> str:
    """The answer at the start of `tail`, the text after the answer phrase."""
    tail = tail.lstrip(_WRAPPING + "\n")
    sentence = _SENTENCE_END.split(tail, maxsplit=1)[0]
    return sentence.strip(_WRAPPING).rstrip("!;,:").strip(_WRAPPING)


def is_correct(answer: str, gold: str, *, question: str = "") -> bool:
    """Whether `answer` means the same as the benchmark's target `gold`.

    `question` supplies the options "(A) ..." of multiple choice.
    """
    answer, gold = answer.strip(), gold.strip()
    if not answer or not gold:
        return False
    gold_letter = _PARENTHESISED_LETTER.match(gold)
    if gold_letter and len(gold) == 3:  # noqa: PLR2004 - "(A)"
        return _same_choice(answer, gold_letter[1].upper(), question)
    gold_number = _number(gold) if _NUMBER.fullmatch(_unit_free(gold)) else None
    if gold_number is not None:
        return _number(answer.rpartition("=")[2]) == gold_number
    return _same_text(answer, gold)


def _same_choice(answer: str, letter: str, question: str) -> bool:
    options = {key: _fold(text) for key, text in _OPTION_LINE.findall(question)}
    by_text = [key for key, text in options.items() if text == _fold(answer)]
    if by_text:
        return by_text == [letter]
    named = _OPTION_LETTER.match(answer) or _PARENTHESISED_LETTER.match(answer)
    return named is not None and named[1].upper() == letter


def _number(text: str) -> Decimal | None:
    """The first number in a text, by value: "$1,234.50", "18.00", "5 apples", "1/2"."""
    for found in _NUMBER.finditer(_unit_free(text)):
        digits = re.sub(r"[,\s]", "", found[0]).replace("\u2212", "-")
        if not any(character.isdigit() for character in digits):
            continue
        numerator, _, denominator = digits.partition("/")
        try:
            value = Decimal(numerator)
            return value / Decimal(denominator) if denominator else value
        except (InvalidOperation, ZeroDivisionError):
            return None
    return None


def _unit_free(text: str) -> str:
    return text.replace("$", "").replace("\u20ac", "").replace("\u00a3", "").rstrip("% ")


def _same_text(answer: str, gold: str) -> bool:
    wanted = _fold(gold)
    if _fold(answer) == wanted:
        return True
    if wanted in _VERDICTS:
        verdicts = [word for word in re.findall(r"[a-z]+", answer.lower()) if word in _VERDICTS]
        return verdicts[:1] == [wanted]
    # Lists of words and bracket sequences: separators do not matter, order does.
    return " " in gold.strip() and _joined(answer) == _joined(gold)


def _fold(text: str) -> str:
    return " ".join(text.casefold().split()).strip(".\"' ")


def _joined(text: str) -> str:
    return re.sub(r"[\s,]+", "", text.casefold())
