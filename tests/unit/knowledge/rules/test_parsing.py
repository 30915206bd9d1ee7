"""The rule language: what is read, what is written, and what is refused with which words."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.knowledge.rules.language import (
    Arithmetic,
    Atom,
    Clause,
    Comparison,
    Expression,
    Negation,
    Term,
    Variable,
    number_text,
    operations,
)
from services.knowledge.rules.parsing import MAX_OPERATIONS, RuleError, parse_rule

X, Y, H, M = map(Variable, "XYHM")

names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(lambda name: name != "not")
texts = names | st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=8)
numbers = st.decimals(-999, 999, places=3).map(Fraction)
variables = st.from_regex(r"[A-Z_][A-Za-z0-9_]?", fullmatch=True).map(Variable)
terms: st.SearchStrategy[Term] = variables | texts | numbers
atoms = st.builds(Atom, names, st.lists(terms, min_size=1, max_size=4).map(tuple))
expressions: st.SearchStrategy[Expression] = st.recursive(
    terms,
    lambda inner: st.builds(Arithmetic, inner, st.sampled_from("+-*/"), inner),
    max_leaves=5,
)
comparisons = st.builds(
    Comparison, expressions, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), expressions
)
literals = atoms | st.builds(Negation, atoms) | comparisons


def is_within_limits(clause: Clause) -> bool:
    used = {name for part in (clause.head, *clause.body) for name in part.variables}
    count = sum(operations(one.left) + operations(one.right) for one in clause.comparisons)
    return len(used) <= 16 and count <= MAX_OPERATIONS and len(str(clause)) <= 2000


clauses = st.builds(Clause, atoms, st.lists(literals, min_size=1, max_size=6).map(tuple)).filter(
    is_within_limits
)


@pytest.mark.parametrize(
    "text",
    [
        "grandparent(X, Z) :- parent(X, Y), parent(Y, Z).",
        "minutes(M) :- hours(H), M = H * 60.",
        "older(X, Y) :- age(X, A), age(Y, B), A > B.",
        "bachelor(X) :- man(X), not married(X).",
        'sold(X) :- price(X, P), P <= -2.5, not in_shop(X, _), X != "New York".',
        "p(X) :- q(X, Y, Z), X - (Y - Z) = (X - Y) * Z / (2 * Y).",
        "nothing(X) :- notes(X), not note(X).",
        r'p("say \"hi\" \\ bye") :- q("not", "Rex", " ", 0.001).',
    ],
)
def test_a_canonical_text_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_rule(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("p(X):-q(X)", "p(X) :- q(X)."),
        (" p ( X )\n  :- q(X) ,\tnot  r(X) . ", "p(X) :- q(X), not r(X)."),
        ('p("rex") :- q("Rex")', 'p(rex) :- q("Rex").'),
        ("p(1.50) :- q(007), r(- 2)", "p(1.5) :- q(7), r(-2)."),
        ("p(X) :- q(X), X-1>(((2)))", "p(X) :- q(X), X - 1 > 2."),
        ("p(X) :- q(X), ((X+1)+(2*X))=X+(1+2)", "p(X) :- q(X), X + 1 + 2 * X = X + (1 + 2)."),
    ],
)
def test_a_rule_has_one_canonical_text(text: str, canonical: str) -> None:
    assert str(parse_rule(text)) == canonical


def test_a_rule_is_read_into_its_parts() -> None:
    assert parse_rule("minutes(M) :- hours(H), not off(H, ann), M = H * 2.5.") == Clause(
        Atom("minutes", (M,)),
        (
            Atom("hours", (H,)),
            Negation(Atom("off", (H, "ann"))),
            Comparison(M, "=", Arithmetic(H, "*", Fraction(5, 2))),
        ),
    )


def test_multiplication_binds_before_addition_and_the_left_before_the_right() -> None:
    rule = parse_rule("p(X) :- q(X, Y), 1 - X - Y * 2 = 0")
    one, two = Fraction(1), Fraction(2)
    left = Arithmetic(Arithmetic(one, "-", X), "-", Arithmetic(Y, "*", two))
    assert rule.body[1] == Comparison(left, "=", Fraction(0))


@given(clauses)
def test_what_is_written_reads_the_same(clause: Clause) -> None:
    assert parse_rule(str(clause)) == clause


TERM = "a lower-case name or a variable or a quoted text or a number or '-'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected a lower-case name, found the end."),
        ("P(x) :- q(X)", "column 1: expected a lower-case name, found 'P'."),
        ("p :- q(X)", "column 3: expected '(', found ':-'."),
        ("p() :- q(X)", f"column 3: expected {TERM}, found ')'."),
        ("p(X).", "column 5: expected ':-', found '.'."),
        ("p(X) q(X)", "column 6: expected ':-', found 'q'."),
        ("p(X) :- q(X) é", "column 14: expected ',' or '.' or the end, found 'é'."),
        ("p(X) :- q(X). r(Y)", "column 15: expected the end, found 'r'."),
        ("p(X) :- not", "column 12: expected a lower-case name, found the end."),
        ("p(f(X)) :- q(X)", "column 4: expected ')' or ',', found '('."),
        ("p(X + 1) :- q(X)", "column 5: expected ')' or ',', found '+'."),
        ('p("Rex) :- q(X)', f"column 3: expected {TERM}, found '\"Rex) :- q(X)'."),
        ('p("a\nb") :- q(X)', f"column 3: expected {TERM}, found '\"a\\nb\") :- q(X)'."),
        (
            "p(X) :- q(X), X = 1" + "0" * 40,
            "column 19: the number has 41 digits, more than 40.",
        ),
        (
            "p(1, 2, 3, 4, X) :- q(X)",
            "the predicate p has 5 arguments, more than 4.",
        ),
        (
            "p(X) :- " + ", ".join(["q(X)"] * 17),
            "the rule has 17 literals in its body, more than 16.",
        ),
        (
            "p(A) :- " + ", ".join(f"q(X{n})" for n in range(16)),
            "the rule has 17 variables, more than 16.",
        ),
        (
            "p(X) :- q(X), X = " + "1+" * 900 + "1",
            "the rule has 900 arithmetic operations, more than 32.",
        ),
        ("p(X) :- " + " " * 2000, "the rule has 2008 characters, more than 2000."),
    ],
)
def test_a_text_that_is_no_rule_is_refused_with_the_place_and_what_was_expected(
    text: str, message: str
) -> None:
    with pytest.raises(RuleError) as raised:
        parse_rule(text)
    assert str(raised.value) == message


def test_each_lone_underscore_is_a_variable_of_its_own() -> None:
    assert len(parse_rule("p(X) :- q(X, " + "_, " * 2 + "_), r(_)").body) == 2


@given(st.text() | st.text('pqXY_()",.:-=<>!+*/ 0129\\\n\x00not'))
@example("p(X) :- q(" + "(" * 1900)
@example("p(X) :- q(X), " + "(" * 900 + "X" + ")" * 900 + " = 1")
@example("p(X) :- q(X), X = " + "(1+" * 450 + "X" + ")" * 450)
@example("p(\ud800) :- q(\u202e)")
@example("p(٣) :- q(X)")
def test_hostile_text_is_a_rule_or_refused(text: str) -> None:
    try:
        clause = parse_rule(text)
    except RuleError as error:
        assert str(error).endswith(".")
    else:
        assert parse_rule(str(clause)) == clause


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(180), "180"),
        (Fraction(-5, 2), "-2.5"),
        (Fraction(1, 1000), "0.001"),
        (Fraction(-1, 32), "-0.03125"),
        (Fraction(1, 3), "1/3"),
        (Fraction(7, 30), "7/30"),
    ],
)
def test_numbers_are_written_exactly(number: Fraction, text: str) -> None:
    assert number_text(number) == text
