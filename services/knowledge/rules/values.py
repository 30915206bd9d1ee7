"""Simple values read from a question: they feed the rules, beside the facts of the graph.

| predicate           | read from a question                                       |
|---------------------|------------------------------------------------------------|
| number(N)           | every number: 1,200; 3.5; -4; 25%; one to ninety-nine;     |
|                     | 3 million, two dozen                                       |
| quantity(N, Unit)   | a number with the word behind it: "3 hours", "5km", "25%", |
|                     | "$5"; the unit in lower case and in the singular           |
| mentions(Concept)   | every name that the facts or rules use; of names that      |
|                     | overlap, the first, and of these the longest               |
| weekday(Day)        | Monday to Sunday, written with a capital                   |
| month(Month)        | January to December, written with a capital                |

Ordinals (3rd), numbers inside words (A4) and numbers of more than 40 digits are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

from services.knowledge.concepts import LONGEST_NAME, concept_key
from services.knowledge.rules.language import MAX_DIGITS, Atom

QUESTION_PREDICATES: Final = {"number": 1, "quantity": 2, "mentions": 1, "weekday": 1, "month": 1}
"""The predicates read from the question, with their arity; no rule and no fact adds to them."""

_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
_TEENS += ["seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBER_WORDS = {word: value for value, word in enumerate([*_ONES, *_TEENS], start=1)}
_NUMBER_WORDS |= {word: value for value, word in zip(range(20, 100, 10), _TENS, strict=True)}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
_PLAIN_NUMBER = re.compile(rf"[-\u2212]?{_DIGITS}")
_NUMBER = re.compile(
    rf"(?<![\w.])(?P<minus>(?<![\w)\]])[-\u2212])?(?P<currency>[$\u20ac\u00a3])?"
    rf"(?:(?P<digits>(?>{_DIGITS}))(?!(?:st|nd|rd|th)\b)"
    rf"|(?P<tens>(?ai:{'|'.join(_TENS)}))(?:[- ](?P<ones>(?ai:{'|'.join(_ONES)})))?\b"
    rf"|(?P<word>(?ai:{'|'.join([*_TEENS, *_ONES])}))\b)"
    rf"(?:\s(?P<scale>(?ai:{'|'.join(_SCALES)}))\b)?"
    # The unit is only looked at: in "two 5-pound bags" it may be a number, too.
    r"(?P<percent>\s?%)?(?:(?=[ \u00a0-]?(?P<unit>[^\W\d_]+)))?"
)
_CURRENCIES = {"$": "dollar", "\u20ac": "euro", "\u00a3": "pound"}
_IRREGULAR = {"feet": "foot", "people": "person", "children": "child", "men": "man"}
_IRREGULAR |= {"women": "woman", "series": "series", "species": "species"}
_PLURALS = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"))
_NAMES = {
    "weekday": re.compile(r"\b((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)s?\b"),
    "month": re.compile(
        r"\b(January|February|March|April|May|June|July|August|September|October|November"
        r"|December)\b"
    ),
}
_WORD = re.compile(r"[^\W_]+")


def question_values(question: str, names: Iterable[str]) -> list[Atom]:
    """What a question says, as facts, each once; `names` are those it may mention."""
    atoms = [*_numbers(question), *_mentions(question, names)]
    for predicate, pattern in _NAMES.items():
        atoms += [Atom(predicate, (found,)) for found in pattern.findall(question)]
    return list(dict.fromkeys(atoms))


def plain_number(text: str) -> Fraction | None:
    """The number that the whole text writes; None when it writes none."""
    text = text.strip()
    return _exact(text) if _PLAIN_NUMBER.fullmatch(text) else None


def singular(word: str) -> str:
    """A unit without its plural: hours, inches, berries, feet; a simple rule, not a dictionary."""
    word = word.casefold()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for plural, ending in _PLURALS:
        if word.endswith(plural) and len(word) > len(plural) + 1:
            return word.removesuffix(plural) + ending
    return word if word == "s" or word.endswith(("ss", "us", "is")) else word.removesuffix("s")


def _numbers(question: str) -> Iterator[Atom]:
    for found in _NUMBER.finditer(question):
        number = _value(found)
        if number is None:
            continue
        yield Atom("number", (number,))
        if found["percent"]:
            yield Atom("quantity", (number, "percent"))
        elif found["currency"]:
            yield Atom("quantity", (number, _CURRENCIES[found["currency"]]))
        elif found["unit"]:
            yield Atom("quantity", (number, singular(found["unit"])))


def _value(found: re.Match[str]) -> Fraction | None:
    if found["digits"]:
        value = _exact((found["minus"] or "") + found["digits"])
    else:
        words = (found["tens"], found["ones"], found["word"])
        value = Fraction(sum(_NUMBER_WORDS[word.casefold()] for word in words if word))
    if value is None or not found["scale"]:
        return value
    return value * _SCALES[found["scale"].casefold()]


def _exact(text: str) -> Fraction | None:
    if sum(map(str.isdigit, text)) > MAX_DIGITS:
        return None
    return Fraction(text.replace(",", "").replace("\u2212", "-"))


def _mentions(question: str, names: Iterable[str]) -> Iterator[Atom]:
    by_words: dict[tuple[str, ...], str] = {}
    for name in names:
        by_words.setdefault(_words(name), name)
    words = _words(question) if by_words else ()
    start = 0
    while start < len(words):
        for length in range(min(LONGEST_NAME, len(words) - start), 0, -1):
            named = by_words.get(words[start : start + length])
            if named is not None:
                yield Atom("mentions", (named,))
                start += length
                break
        else:
            start += 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(concept_key(text)))
