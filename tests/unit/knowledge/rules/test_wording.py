"""Rules and facts in plain words."""

from __future__ import annotations

from fractions import Fraction

import pytest

from services.knowledge.rules.language import Atom
from services.knowledge.rules.parsing import parse_rule
from services.knowledge.rules.wording import in_words, readable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "grandparent(X, Z) :- parent(X, Y), parent(Y, Z).",
            "X grandparent Z if X parent Y and Y parent Z",
        ),
        (
            "minutes(M) :- quantity(H, hour), M = H * 60.",
            "M is minutes if the question has H hour and M is H * 60",
        ),
        (
            "bachelor(X) :- man(X), not married_to(X, _).",
            "X is bachelor if X is man and it is not known that X married to something",
        ),
        (
            'p(X, 2.5, Y) :- mentions(X), q(Y, "Rex"), Y >= 3.',
            "p(X, 2.5, Y) if the question mentions X and Y q Rex and Y is at least 3",
        ),
    ],
)
def test_a_rule_reads_as_a_sentence(text: str, words: str) -> None:
    assert readable(parse_rule(text)) == words


@pytest.mark.parametrize(
    ("atom", "words"),
    [
        (Atom("guard_dog", ("Rex",)), "Rex is guard dog"),
        (Atom("minutes", (Fraction(180),)), "minutes: 180"),
        (Atom("is_capital_of", ("Paris", "France")), "Paris is capital of France"),
        (Atom("sum_of", (Fraction(1), Fraction(1, 2), "x")), "sum of(1, 0.5, x)"),
        (Atom("number", (Fraction(25),)), "the question has the number 25"),
        (Atom("weekday", ("Monday",)), "the question names Monday"),
        (Atom("month", ("May",)), "the question names May"),
    ],
)
def test_a_fact_reads_as_a_clause(atom: Atom, words: str) -> None:
    assert in_words(atom) == words
