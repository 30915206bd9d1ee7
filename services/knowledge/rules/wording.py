"""Rules and what they derive, in plain words for people."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from services.knowledge.rules.language import (
    ANONYMOUS,
    Arithmetic,
    Atom,
    Clause,
    Expression,
    Literal,
    Negation,
    Term,
    Variable,
    number_text,
    written,
)
from services.knowledge.rules.values import QUESTION_PREDICATES

_QUESTION_WORDING = {
    "number": "the question has the number {}",
    "quantity": "the question has {} {}",
    "mentions": "the question mentions {}",
    "weekday": "the question names {}",
    "month": "the question names {}",
}
_OPERATORS = {
    "=": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}


def readable(clause: Clause) -> str:
    """A rule as a sentence: "X grandparent Z if X parent Y and Y parent Z"."""
    return f"{in_words(clause.head)} if {' and '.join(map(_literal, clause.body))}"


def in_words(atom: Atom) -> str:
    """An atom as a clause: "Rex is dog", "minutes: 180", "Ann parent Bob", "sum(1, 2, 3)"."""
    arguments = [_term(term) for term in atom.arguments]
    words = atom.predicate.replace("_", " ").strip()
    if atom.predicate in QUESTION_PREDICATES:
        return _QUESTION_WORDING[atom.predicate].format(*arguments)
    if len(arguments) == 1:
        is_number = isinstance(atom.arguments[0], Fraction)
        return f"{words}: {arguments[0]}" if is_number else f"{arguments[0]} is {words}"
    return _joined(words, arguments)


def _joined(words: str, arguments: Sequence[str]) -> str:
    if len(arguments) == 2:  # noqa: PLR2004 - a relation
        return f"{arguments[0]} {words} {arguments[1]}"
    return f"{words}({', '.join(arguments)})"


def _literal(literal: Literal) -> str:
    if isinstance(literal, Atom):
        return in_words(literal)
    if isinstance(literal, Negation):
        return f"it is not known that {in_words(literal.atom)}"
    left, right = _expression(literal.left), _expression(literal.right)
    return f"{left} {_OPERATORS[literal.operator]} {right}"


def _expression(expression: Expression) -> str:
    return written(expression) if isinstance(expression, Arithmetic) else _term(expression)


def _term(term: Term) -> str:
    if term == ANONYMOUS:
        return "something"
    if isinstance(term, Variable):
        return term.name
    return number_text(term) if isinstance(term, Fraction) else term
