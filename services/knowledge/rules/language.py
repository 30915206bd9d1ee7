"""The rule language, a restricted Datalog: what a rule is made of and how it is written.

    grandparent(X, Z) :- parent(X, Y), parent(Y, Z).
    minutes(M) :- quantity(H, hour), M = H * 60.
    bachelor(X) :- man(X), not married(X).

A variable starts with an upper-case letter or "_"; each "_" alone is a variable of its own.
A text is a lower-case name or stands in double quotes. Numbers are exact. There are no
function symbols. Two texts are the same when their `concept_key` is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

MAX_DIGITS = 40
"""Of a number that a rule, a fact or a question writes."""

_BARE_TEXT = re.compile(r"(?!not$)[a-z][a-z0-9_]*", re.ASCII)
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


ANONYMOUS = Variable("_")
"""Stands for something new at every place."""

Constant: TypeAlias = str | Fraction
"""A text as it is written, or an exact number."""

Term: TypeAlias = Variable | Constant
Expression: TypeAlias = "Term | Arithmetic"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left operator right`, with one of + - * /."""

    left: Expression
    operator: str
    right: Expression

    def __str__(self) -> str:
        level = _PRECEDENCE[self.operator]
        left, right = written(self.left), written(self.right)
        if _level(self.left) < level:
            left = f"({left})"
        if _level(self.right) <= level:
            right = f"({right})"
        return f"{left} {self.operator} {right}"


@dataclass(frozen=True, slots=True)
class Atom:
    """A predicate and its 1 to 4 arguments."""

    predicate: str
    arguments: tuple[Term, ...]

    def __str__(self) -> str:
        return f"{self.predicate}({', '.join(map(written, self.arguments))})"

    @property
    def variables(self) -> Iterator[Variable]:
        """Its variables in order, as often as they occur."""
        return (term for term in self.arguments if isinstance(term, Variable))


@dataclass(frozen=True, slots=True)
class Negation:
    """Holds when the atom is not known; "_" in it stands for anything at all."""

    atom: Atom

    def __str__(self) -> str:
        return f"not {self.atom}"

    @property
    def variables(self) -> Iterator[Variable]:
        """The variables that must have a value before it is asked."""
        return (variable for variable in self.atom.variables if variable != ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, with one of = != < <= > >=; the last four hold of numbers only.

    `=` gives its value to a variable that has none, so it is also the assignment. Division by
    zero and arithmetic on a text make any comparison fail.
    """

    left: Expression
    operator: str
    right: Expression

    def __str__(self) -> str:
        return f"{written(self.left)} {self.operator} {written(self.right)}"

    @property
    def variables(self) -> Iterator[Variable]:
        """Its variables in order, as often as they occur."""
        yield from variables(self.left)
        yield from variables(self.right)

    @property
    def assignments(self) -> Iterator[tuple[Variable, Expression]]:
        """The ways to read it as giving a variable its value."""
        if self.operator == "=":
            for side, other in ((self.left, self.right), (self.right, self.left)):
                if isinstance(side, Variable) and side != ANONYMOUS:
                    yield side, other


Literal: TypeAlias = Atom | Negation | Comparison


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule: the head holds where all of the body does. `str` gives its canonical text."""

    head: Atom
    body: tuple[Literal, ...]

    def __str__(self) -> str:
        return f"{self.head} :- {', '.join(map(str, self.body))}."

    @property
    def positive(self) -> tuple[Atom, ...]:
        """The atoms of the body that are not negated."""
        return tuple(literal for literal in self.body if isinstance(literal, Atom))

    @property
    def negated(self) -> tuple[Atom, ...]:
        """The atoms of the body that are negated."""
        return tuple(literal.atom for literal in self.body if isinstance(literal, Negation))

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons and assignments of the body."""
        return tuple(literal for literal in self.body if isinstance(literal, Comparison))

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """The head, then every atom of the body."""
        return (self.head, *self.positive, *self.negated)

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Its texts and numbers, each once."""
        terms = [term for atom in self.atoms for term in atom.arguments]
        for comparison in self.comparisons:
            terms += [*_terms(comparison.left), *_terms(comparison.right)]
        return tuple(dict.fromkeys(term for term in terms if not isinstance(term, Variable)))


def variables(expression: Expression) -> Iterator[Variable]:
    """The variables of a term or arithmetic, as often as they occur."""
    return (term for term in _terms(expression) if isinstance(term, Variable))


def operations(expression: Expression) -> int:
    """How many arithmetic operations it takes to work it out."""
    count, todo = 0, [expression]
    while todo:  # not by recursion: it is asked of texts that nest deeper than Python's stack
        one = todo.pop()
        if isinstance(one, Arithmetic):
            count += 1
            todo += [one.left, one.right]
    return count


def written(expression: Expression) -> str:
    """A term or arithmetic as a rule writes it."""
    if isinstance(expression, Fraction):
        return number_text(expression)
    if isinstance(expression, str) and not _BARE_TEXT.fullmatch(expression):
        escaped = expression.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(expression)


def number_text(number: Fraction) -> str:
    """A number as a decimal, "2.5"; where that has no end, as a fraction, "1/3"."""
    places, rest = 0, number.denominator
    while rest % 10 == 0:
        places, rest = places + 1, rest // 10
    for factor in (2, 5):
        while rest % factor == 0:
            places, rest = places + 1, rest // factor
    if places == 0 or rest > 1:
        return str(number)
    sign = "-" if number < 0 else ""
    digits = str(int(abs(number) * 10**places)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def _terms(expression: Expression) -> Iterator[Term]:
    if isinstance(expression, Arithmetic):
        yield from _terms(expression.left)
        yield from _terms(expression.right)
    else:
        yield expression


def _level(expression: Expression) -> int:
    """How tightly it holds together: a sum least, a term most."""
    return _PRECEDENCE[expression.operator] if isinstance(expression, Arithmetic) else 3
