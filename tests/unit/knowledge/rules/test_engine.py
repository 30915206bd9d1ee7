"""Evaluation: what follows, by which proof, and where it ends."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import pytest

from services.knowledge.rules.check import faults
from services.knowledge.rules.engine import Limits, evaluate
from services.knowledge.rules.language import Atom
from services.knowledge.rules.model import Model, Proof, Truth
from services.knowledge.rules.parsing import parse_rule

CHAIN = ["path(X, Y) :- edge(X, Y).", "path(X, Z) :- path(X, Y), edge(Y, Z)."]


def facts(text: str) -> list[Atom]:
    """The atoms "p(a, 1) q(b)"."""
    return [parse_rule(f"{atom} :- p(x).").head for atom in re.findall(r"\w+\([^)]*\)", text)]


def run(rules: list[str], given: list[Atom], limits: Limits | None = None) -> Model:
    clauses = {f"r{at}": parse_rule(text) for at, text in enumerate(rules, start=1)}
    assert faults(clauses, ()) == []
    return evaluate(clauses, given, limits=limits or Limits(timeout_s=60))


def derived(rules: list[str], given: str, predicate: str = "p") -> list[str]:
    model = run(rules, facts(given))
    assert model.limit == ""
    found = (model.atom(number) for number in range(model.given, len(model)))
    return sorted(str(atom) for atom in found if atom.predicate == predicate)


def chain(edges: int) -> list[Atom]:
    return [Atom("edge", (f"n{at}", f"n{at + 1}")) for at in range(edges)]


@pytest.mark.parametrize(
    ("rule", "given", "result"),
    [
        ("p(X, Z) :- q(X, Y), q(Y, Z).", "q(a, b) q(b, c) q(b, d)", ["p(a, c)", "p(a, d)"]),
        ("p(X) :- q(X, X).", "q(a, a) q(a, b)", ["p(a)"]),
        ("p(X) :- q(X, b, _).", "q(a, b, c) q(d, e, c)", ["p(a)"]),
        ("p(X) :- q(_, X, _, _).", "q(a, b, c, d)", ["p(b)"]),
        ("p(X, Y) :- q(X), r(Y).", "q(a) q(b) r(1)", ["p(a, 1)", "p(b, 1)"]),
        ("p(a) :- q(b).", "q(b)", ["p(a)"]),
        ("p(a) :- q(b).", "q(c)", []),
        ("p(X) :- q(X), not r(X).", "q(a) q(b) r(a)", ["p(b)"]),
        ("p(X) :- q(X), not r(X, _).", "q(a) q(b) r(a, c)", ["p(b)"]),
        ("p(X) :- q(X), not r(_, _).", "q(a)", ["p(a)"]),
        ("p(X) :- q(X), not r(_, _).", "q(a) r(b, b)", []),
        ("p(X) :- q(X), not r(X, X, b).", "q(a) q(c) r(a, a, b)", ["p(c)"]),
        ("p(X) :- q(X), X > 2.", "q(2) q(2.5) q(b)", ["p(2.5)"]),
        ("p(X) :- q(X), 2 >= X.", "q(2) q(2.5) q(b)", ["p(2)"]),
        ("p(X) :- q(X), b < X.", "q(c) q(3)", []),
        ("p(X) :- q(X), X != 1 + 1.", "q(2) q(3) q(b)", ["p(3)", "p(b)"]),
        ("p(X) :- q(X), X = ann.", 'q("ANN") q(bob)', ['p("ANN")']),
        ("p(Y) :- q(X), Y = X.", "q(a)", ["p(a)"]),
        ("p(M) :- q(H), H * 60 = M.", "q(1.5)", ["p(90)"]),
        ("p(Z) :- q(X), Z = Y + 1, Y = X / 3.", "q(1)", ["p(4/3)"]),
        ("p(Y) :- q(X), Y = 1 / X.", "q(0) q(4)", ["p(0.25)"]),
        ("p(Y) :- q(X), Y = X + 1.", "q(a) q(1)", ["p(2)"]),
        ("p(X) :- q(X), X - 0.1 = 0.2.", "q(0.3)", ["p(0.3)"]),
        ("p(X) :- q(X), 1 / 0 != 1.", "q(1)", []),
        ("p(X) :- q(X), r(X).", "q(a) p(a) r(a)", []),
    ],
)
def test_a_rule_derives(rule: str, given: str, result: list[str]) -> None:
    assert derived([rule], given) == result


def test_texts_are_the_same_in_any_case_and_spacing_and_shown_as_first_written() -> None:
    given = [Atom("q", ("New  York",)), Atom("r", ("new_york",)), Atom("r", ("\uff2eew york",))]
    model = run(["p(X) :- q(X), r(X)."], given)
    assert [model.atom(number) for number in range(model.given, len(model))] == [
        Atom("p", ("New  York",))
    ]


def test_negation_waits_for_all_of_what_it_negates() -> None:
    rules = [
        "p(X) :- node(X), not path(a, X).",
        *CHAIN,
        "node(X) :- edge(X, _).",
        "node(X) :- edge(_, X).",
    ]
    assert derived(rules, "edge(a, b) edge(b, c) edge(d, a)") == ["p(a)", "p(d)"]


def test_mutual_recursion_is_evaluated() -> None:
    rules = ["p(0) :- next(0, _).", "odd(Y) :- p(X), next(X, Y).", "p(Y) :- odd(X), next(X, Y)."]
    assert derived(rules, "next(0, 1) next(1, 2) next(2, 3)") == ["p(0)", "p(2)"]


def test_a_cycle_in_the_facts_comes_to_an_end() -> None:
    assert len(derived(CHAIN, "edge(a, b) edge(b, c) edge(c, a)", "path")) == 9


def test_a_derived_fact_has_the_first_proof_found() -> None:
    model = run(CHAIN, facts("edge(a, b) edge(b, c) edge(a, c)"))
    by_atom = {str(model.atom(at)): model.proof(at) for at in range(model.given, len(model))}
    assert by_atom == {
        "path(a, b)": Proof("r1", (0,)),
        "path(b, c)": Proof("r1", (1,)),
        "path(a, c)": Proof("r1", (2,)),
    }


def test_a_proof_names_the_facts_in_the_order_of_the_body() -> None:
    model = run(
        ["p(X) :- c(X), b(X, Y), Z = Y + 1, not d(Z), a(Z, _)."], facts("a(2, z) b(x, 1) c(x)")
    )
    assert model.proof(3) == Proof("r1", (2, 1, 0))


def test_premises_come_before_what_they_prove() -> None:
    model = run(CHAIN, chain(20))
    for number in range(model.given, len(model)):
        assert all(premise < number for premise in model.proof(number).premises)


def test_a_fact_given_twice_is_one() -> None:
    model = run(["p(X) :- q(X)."], facts("q(a) q(a) r(a)"))
    assert (model.given, len(model), model.proof(3)) == (3, 4, Proof("r1", (0,)))


def test_what_does_not_follow_is_false() -> None:
    model = run(CHAIN, chain(3))
    assert model.truth(Atom("path", ("n0", "N3"))) is Truth.TRUE
    assert model.truth(Atom("path", ("n3", "n0"))) is Truth.FALSE
    assert model.truth(Atom("unheard_of", ("n3",))) is Truth.FALSE


COUNTING = ["p(B) :- q(A), B = A * A.", "r(B) :- p(A), B = A * A.", "s(B) :- r(A), B = A * A."]


@pytest.mark.parametrize(
    ("rules", "given", "limits"),
    [
        (CHAIN, chain(20), Limits(max_facts=19)),
        (CHAIN, chain(20), Limits(max_derived=209)),
        (CHAIN, chain(20), Limits(max_rounds=20)),
        (CHAIN, chain(20), Limits(timeout_s=-1)),
        (COUNTING, [Atom("q", (Fraction(10**19),))], Limits(max_number_bits=504)),
    ],
    ids=["max_facts", "max_derived", "max_rounds", "timeout_s", "max_number_bits"],
)
def test_beyond_a_limit_all_is_unknown_and_nothing_is_false(
    rules: list[str], given: list[Atom], limits: Limits, request: pytest.FixtureRequest
) -> None:
    closed = [*rules, "isolated(X) :- edge(X, _), not path(X, n1)."]
    if request.node.callspec.id == "timeout_s":
        given = given * 20
    model = run(closed, given, limits)
    assert model.limit == request.node.callspec.id
    assert model.truth(Atom("path", ("n3", "n0"))) is Truth.UNKNOWN
    assert model.truth(Atom("isolated", ("n5",))) is Truth.UNKNOWN


@pytest.mark.parametrize(
    "limits",
    [Limits(max_facts=20), Limits(max_derived=210), Limits(max_rounds=21)],
)
def test_at_a_limit_all_is_known(limits: Limits) -> None:
    assert run(CHAIN, chain(20), limits).limit == ""


def test_numbers_within_the_limit_are_exact() -> None:
    model = run(COUNTING, [Atom("q", (Fraction(10**19),))], Limits(max_number_bits=505))
    assert model.limit == ""
    assert model.truth(Atom("s", (Fraction(10**152),))) is Truth.TRUE


@pytest.mark.parametrize(
    "rule",
    [
        "p(A) :- " + ", ".join(f"q({name})" for name in "ABCDEFGHIJKLMNOP") + ".",
        "p(1) :- " + ", ".join(f"q({name})" for name in "ABCDEFGHIJKLMNO") + ", O > 999.",
        "p(A, B, C, D) :- q(A), q(B), q(C), q(D), not q(D).",
        "p(A) :- q(A), q(B), q(C), " + "X = " + "A * B - C + " * 10 + "1 / 3, X = 0.1.",
    ],
)
def test_a_nasty_rule_ends_in_time(rule: str) -> None:
    given = [Atom("q", (Fraction(at),)) for at in range(1, 300)]
    started = time.process_time()
    model = run([rule], given, Limits(timeout_s=0.1))
    assert model.limit == "timeout_s"
    assert time.process_time() - started < 1


def test_a_long_chain_of_rules_is_evaluated() -> None:
    rules = [f"p{at + 1}(X) :- p{at}(X)." for at in range(2000)]
    model = run(rules, facts("p0(a)"), Limits(timeout_s=60))
    assert model.truth(Atom("p2000", ("a",))) is Truth.TRUE
