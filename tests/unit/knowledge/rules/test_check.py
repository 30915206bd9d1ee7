"""Rules that are refused, and the reasons given."""

from __future__ import annotations

import pytest

from services.knowledge.rules.check import check_rules, faults
from services.knowledge.rules.parsing import parse_rule

RELATIONS = {"parent", "edge", "age"}


def problems(*texts: str) -> list[str]:
    rules = {f"r{at}": parse_rule(text) for at, text in enumerate(texts, start=1)}
    return list(map(str, check_rules(rules, RELATIONS)))


def no_value(variable: str, place: str) -> str:
    return (
        f"r1: the variable {variable} of {place} has no value: "
        "no positive atom and no assignment gives it one."
    )


@pytest.mark.parametrize(
    "texts",
    [
        ["grandparent(X, Z) :- parent(X, Y), parent(Y, Z)."],
        ["minutes(M) :- quantity(H, hour), M = H * 60."],
        ["p(B) :- number(A), C * 2 = B, C = A + 1."],
        ["known(paris) :- mentions(france)."],
        ["path(X, Y) :- edge(X, Y).", "path(X, Z) :- path(X, Y), edge(Y, Z)."],
        ["parent(X, Y) :- parent(Y, X)."],
        ["root(X) :- parent(X, _), not parent(_, X)."],
        ["a(X) :- number(X), not b(X).", "b(X) :- number(X), not c(X).", "c(X) :- weekday(X)."],
    ],
)
def test_sound_rules_pass(texts: list[str]) -> None:
    assert problems(*texts) == []


@pytest.mark.parametrize(
    ("text", "variable", "place"),
    [
        ("p(X, Y) :- number(X).", "Y", "the head"),
        ("p(_) :- number(X).", "_", "the head"),
        ("p(X) :- number(X), not parent(X, Y).", "Y", '"not parent(X, Y)"'),
        ("p(X) :- number(X), Y > X.", "Y", '"Y > X"'),
        ("p(X) :- number(X), X = Y + 1.", "Y", '"X = Y + 1"'),
        ("p(X) :- number(X), _ = X.", "_", '"_ = X"'),
        ("p(X) :- number(X), Y != X / 2.", "Y", '"Y != X / 2"'),
    ],
)
def test_a_variable_without_a_value_is_unsafe(text: str, variable: str, place: str) -> None:
    assert problems(text) == [no_value(variable, place)]


def test_assignments_in_a_circle_give_no_value() -> None:
    assert problems("p(X) :- number(N), X = Y, Y = X.") == [
        no_value(variable, place)
        for variable, place in [
            ("X", "the head"),
            ("X", '"X = Y"'),
            ("Y", '"X = Y"'),
            ("Y", '"Y = X"'),
            ("X", '"Y = X"'),
        ]
    ]


def test_a_predicate_that_rests_on_its_own_negation_is_refused() -> None:
    assert problems("p(X) :- number(X), not p(X).") == [
        "r1: the predicate p rests on its own negation: p -> not p."
    ]


def test_a_longer_cycle_through_negation_is_named() -> None:
    assert problems(
        "win(X) :- edge(X, Y), not lost(Y).",
        "lost(X) :- beaten(X).",
        "beaten(X) :- edge(X, Y), win(Y).",
        "other(X) :- win(X).",
    ) == ["r1: the predicate win rests on its own negation: win -> not lost -> beaten -> win."]


@pytest.mark.parametrize(
    "texts",
    [
        ["count(N) :- number(N).", "count(M) :- count(N), M = N + 1."],
        ["count(N) :- number(N).", "count(M) :- count(N), K = N * 2, M = K."],
        ["count(M) :- other(N), M = N / 2.", "other(N) :- count(N).", "other(N) :- number(N)."],
        ["count(M) :- count(N), M = N + 1, M < 10.", "count(1) :- number(1)."],
    ],
)
def test_recursion_that_makes_new_numbers_is_refused(texts: list[str]) -> None:
    found = problems(*texts)
    assert [one for one in found if "has no bound" in one] == found
    assert len(found) == 1
    assert found[0].endswith(
        "the recursion through count has no bound: "
        "arithmetic makes a new number for M in every round."
    )


@pytest.mark.parametrize(
    "texts",
    [
        # The sum has to be among the numbers of the question.
        ["count(N) :- number(N).", "count(M) :- count(N), number(M), M = N + 1."],
        # The sum is of ages alone.
        ["reach(X, N) :- age(X, N).", "reach(Y, N) :- reach(X, _), age(Y, A), N = A * 2."],
        # The sum is only compared.
        ["near(X, N) :- age(X, N).", "near(Y, N) :- near(X, N), age(Y, M), D = M - N, D < 2."],
        ["p(N) :- number(N).", "p(M) :- p(N), M = N."],
    ],
)
def test_recursion_with_arithmetic_over_what_is_finite_passes(texts: list[str]) -> None:
    assert problems(*texts) == []


def test_a_predicate_that_nothing_provides_is_refused() -> None:
    unknown = "is unknown: no fact has it as relation, no rule derives it and no question gives it."
    assert problems("p(X) :- partner(X, X), parent(X, X), not widow(X).") == [
        f"r1: the predicate partner {unknown}",
        f"r1: the predicate widow {unknown}",
    ]


def test_faults_lets_a_predicate_pass_that_nothing_provides() -> None:
    assert faults({"r1": parse_rule("p(X) :- partner(X, _).")}, ()) == []


def test_a_predicate_has_one_arity() -> None:
    assert problems(
        "p(X) :- parent(X).",
        "p(X, Y) :- parent(X, Y).",
        "q(X) :- quantity(X), p(X).",
        "q(X) :- number(X, Y).",
    ) == [
        "r1: the predicate parent has 1 argument, but 2 as a relation of facts.",
        "r2: the predicate p has 2 arguments, but 1 in rule r1.",
        "r3: the predicate quantity has 1 argument, but 2 in questions.",
        "r4: the predicate number has 2 arguments, but 1 in questions.",
    ]


def test_no_rule_derives_what_is_read_from_the_question() -> None:
    assert problems("number(X) :- age(_, X).") == [
        "r1: the head number is read from the question; no rule derives it."
    ]


def test_ten_thousand_rules_in_a_chain_are_checked() -> None:
    chain = {f"r{n}": parse_rule(f"p{n + 1}(X) :- p{n}(X).") for n in range(300)}
    many = {f"{name}-{copy}": rule for copy in range(34) for name, rule in chain.items()}
    assert check_rules(many | {"start": parse_rule("p0(X) :- number(X).")}, ()) == []
