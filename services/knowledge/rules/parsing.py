"""Reads the text of a rule."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import cast

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args

from services.knowledge.rules.language import (
    ANONYMOUS,
    MAX_DIGITS,
    Arithmetic,
    Atom,
    Clause,
    Comparison,
    Expression,
    Literal,
    Negation,
    Term,
    Variable,
    operations,
)

MAX_CHARACTERS = 2_000
MAX_LITERALS = 16
MAX_VARIABLES = 16
MAX_OPERATIONS = 32
MAX_ARGUMENTS = 4

_GRAMMAR = r"""
clause: atom _IF literal ("," literal)* "."?

?literal: atom
    | "not" atom -> negation
    | sum COMPARISON sum -> comparison

atom: NAME "(" term ("," term)* ")"

?sum: product
    | sum (PLUS | MINUS) product -> arithmetic
?product: factor
    | product (STAR | SLASH) factor -> arithmetic
?factor: term
    | "(" sum ")"
?term: VARIABLE -> variable
    | NAME -> name
    | TEXT -> text
    | MINUS? NUMBER -> number

_IF: ":-"
COMPARISON: /<=|>=|!=|=|<|>/
PLUS: "+"
MINUS: "-"
STAR: "*"
SLASH: "/"
VARIABLE: /[A-Z_][A-Za-z0-9_]*/
NAME: /[a-z][a-z0-9_]*/
TEXT: /"(?:[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029]|\\["\\])*"/
NUMBER: /[0-9]+(?:\.[0-9]+)?/
%ignore /\s+/
"""

_CALLED = {
    "NAME": "a lower-case name",
    "VARIABLE": "a variable",
    "TEXT": "a quoted text",
    "NUMBER": "a number",
    "NOT": "'not'",
    "_IF": "':-'",
    "COMPARISON": "a comparison",
    "PLUS": "'+'",
    "MINUS": "'-'",
    "STAR": "'*'",
    "SLASH": "'/'",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "DOT": "'.'",
    "$END": "the end",
}
_SHOWN_CHARACTERS = 20


class RuleError(ValueError):
    """A text that is not a rule; the message says where, and what was expected there."""


def parse_rule(text: str) -> Clause:
    """The rule that a text of at most 2,000 characters writes.

    Raises:
        RuleError: it is not one rule of the language, or one too large: more than 16 literals
            in its body, 16 variables, 32 arithmetic operations, 4 arguments of a predicate or
            40 digits of a number.
    """
    if len(text) > MAX_CHARACTERS:
        raise RuleError(f"the rule has {len(text)} characters, more than {MAX_CHARACTERS}.")
    try:
        clause = cast("Clause", _parser().parse(text))
    except UnexpectedInput as error:
        raise RuleError(_message(text, error)) from None
    _check_size(clause)
    return clause


@v_args(inline=True)
class _Builder(Transformer[Token, Clause]):
    """Makes the clause while the text is read; a method for each rule of the grammar."""

    def clause(self, head: Atom, *body: Literal) -> Clause:
        return Clause(head, body)

    def negation(self, atom: Atom) -> Negation:
        return Negation(atom)

    def comparison(self, left: Expression, operator: Token, right: Expression) -> Comparison:
        return Comparison(left, str(operator), right)

    def atom(self, predicate: Token, *arguments: Term) -> Atom:
        return Atom(str(predicate), arguments)

    def arithmetic(self, left: Expression, operator: Token, right: Expression) -> Arithmetic:
        return Arithmetic(left, str(operator), right)

    def variable(self, name: Token) -> Variable:
        return Variable(str(name))

    def name(self, name: Token) -> str:
        return str(name)

    def text(self, quoted: Token) -> str:
        return re.sub(r"\\(.)", r"\1", quoted[1:-1])

    def number(self, *parts: Token) -> Fraction:
        number = parts[-1]
        digits = len(number.replace(".", ""))
        if digits > MAX_DIGITS:
            column = (number.start_pos or 0) + 1
            raise RuleError(
                f"column {column}: the number has {digits} digits, more than {MAX_DIGITS}."
            )
        return Fraction("".join(parts))


@cache
def _parser() -> Lark:
    return Lark(
        _GRAMMAR,
        start="clause",
        parser="lalr",
        transformer=_Builder(),
        maybe_placeholders=False,
    )


def _message(text: str, error: UnexpectedInput) -> str:
    accepted = error.interactive_parser.accepts()  # type: ignore[no-untyped-call]
    expected = " or ".join(called for name, called in _CALLED.items() if name in accepted)
    at = error.pos_in_stream or 0
    found = repr(text[at : at + _SHOWN_CHARACTERS])
    if isinstance(error, UnexpectedToken):
        if error.token.type == "$END":
            at, found = len(text), "the end"
        else:
            found = repr(str(error.token[:_SHOWN_CHARACTERS]))
    return f"column {at + 1}: expected {expected}, found {found}."


def _check_size(clause: Clause) -> None:
    for atom in clause.atoms:
        if len(atom.arguments) > MAX_ARGUMENTS:
            raise RuleError(
                f"the predicate {atom.predicate} has {len(atom.arguments)} arguments, "
                f"more than {MAX_ARGUMENTS}."
            )
    arithmetic = sum(operations(one.left) + operations(one.right) for one in clause.comparisons)
    if arithmetic > MAX_OPERATIONS:
        raise RuleError(
            f"the rule has {arithmetic} arithmetic operations, more than {MAX_OPERATIONS}."
        )
    if len(clause.body) > MAX_LITERALS:
        raise RuleError(
            f"the rule has {len(clause.body)} literals in its body, more than {MAX_LITERALS}."
        )
    names = {name for part in (clause.head, *clause.body) for name in part.variables}
    names.discard(ANONYMOUS)
    if len(names) > MAX_VARIABLES:
        raise RuleError(f"the rule has {len(names)} variables, more than {MAX_VARIABLES}.")
