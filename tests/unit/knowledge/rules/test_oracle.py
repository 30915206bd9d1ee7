"""Random programs: what the engine derives is what clingo derives.

clingo orders all symbols and works with integers, so the programs order by `X + 0 < Y + 0`
and have no division. Rules that the checks refuse are left out of both.
"""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from services.knowledge.rules.check import faults
from services.knowledge.rules.engine import Limits, evaluate
from services.knowledge.rules.language import (
    ANONYMOUS,
    Arithmetic,
    Atom,
    Clause,
    Comparison,
    Expression,
    Literal,
    Negation,
    Term,
    Variable,
)
from tests.needs import missing

PROGRAMS = 400
ARITY = {"a": 1, "b": 2, "c": 3, "p": 1, "q": 2, "r": 2, "s": 1, "t": 3}
GIVEN, DERIVED = "abcq", "pqrst"
VARIABLES = list(map(Variable, "WXYZ"))
CONSTANTS: list[Term] = ["k", "m", *map(Fraction, (-1, 0, 1, 2, 3))]
BOLD = 0.1
"""How often a rule takes a risk that mostly gets it refused."""


class Programs:
    """Random rules and facts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret

    def facts(self) -> list[Atom]:
        return [self._fact() for _ in range(self._random.randint(5, 25))]

    def rules(self) -> dict[str, Clause]:
        rules = {f"r{at}": self._rule() for at in range(self._random.randint(3, 12))}
        while refused := {problem.rule_id for problem in faults(rules, ())}:
            rules = {name: rule for name, rule in rules.items() if name not in refused}
        return rules

    def _fact(self) -> Atom:
        predicate = self._random.choice(GIVEN)
        return Atom(predicate, tuple(self._random.choices(CONSTANTS, k=ARITY[predicate])))

    def _rule(self) -> Clause:
        body: list[Literal] = [self._atom(VARIABLES)]
        bound = [*body[0].variables]
        for _ in range(self._random.randint(0, 3)):
            literal = self._literal(bound)
            body.append(literal)
            if self._random.random() < BOLD or isinstance(literal, Atom):
                bound += literal.variables
        bound = [variable for variable in bound if variable != ANONYMOUS]
        self._random.shuffle(body)
        predicate = self._random.choice(DERIVED)
        head = self._random.choices([*bound, *bound, *CONSTANTS[:1]], k=ARITY[predicate])
        return Clause(Atom(predicate, tuple(head)), tuple(body))

    def _literal(self, bound: list[Variable]) -> Literal:
        """Mostly over variables that have a value already."""
        known = bound if bound and self._random.random() > BOLD else VARIABLES
        kind = self._random.random()
        if kind < 0.4:
            return self._atom([*known, *VARIABLES])
        if kind < 0.65:
            return Negation(self._atom(known))
        if kind < 0.85:
            return Comparison(self._random.choice(VARIABLES), "=", self._expression(known, 1))
        operator = self._random.choice(["!=", "<", "<=", ">", ">="])
        return Comparison(self._expression(known, 0.2), operator, self._expression(known, 0.5))

    def _atom(self, known: list[Variable]) -> Atom:
        predicate = self._random.choice([*ARITY])
        return Atom(predicate, tuple(self._term(known, 0.08) for _ in range(ARITY[predicate])))

    def _term(self, known: list[Variable], anonymous: float = 0) -> Term:
        kind = self._random.random()
        if kind < anonymous:
            return ANONYMOUS
        return self._random.choice(CONSTANTS if kind < 0.2 else known)

    def _expression(self, known: list[Variable], arithmetic: float) -> Expression:
        if self._random.random() > arithmetic:
            return self._term(known)
        operator = self._random.choice("+-*")
        left = self._expression(known, 0.3)
        small = Fraction(self._random.randint(0, 3))
        return Arithmetic(left, operator, small if operator == "*" else self._term(known))


def for_clingo(literal: Literal) -> str:
    if isinstance(literal, Comparison) and literal.operator in {"<", "<=", ">", ">="}:
        zero = Fraction(0)
        literal = Comparison(
            Arithmetic(literal.left, "+", zero),
            literal.operator,
            Arithmetic(literal.right, "+", zero),
        )
    return str(literal)


def clingo_derives(rules: dict[str, Clause], facts: list[Atom]) -> set[str]:
    try:
        import clingo
    except ImportError:
        missing("clingo is not installed (pip install clingo)")
    program = [f"{fact}." for fact in facts]
    program += [
        f"{rule.head} :- {', '.join(map(for_clingo, rule.body))}." for rule in rules.values()
    ]
    control = clingo.Control(logger=lambda _code, _message: None)
    control.add("base", [], "\n".join(program))
    control.ground([("base", [])])
    models: list[set[str]] = []
    control.solve(on_model=lambda model: models.append(set(map(str, model.symbols(atoms=True)))))
    (only,) = models
    return only


def ours(rules: dict[str, Clause], facts: list[Atom]) -> set[str]:
    model = evaluate(rules, facts, limits=Limits(timeout_s=60))
    assert model.limit == ""
    return {str(model.atom(number)).replace(" ", "") for number in range(len(model))}


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_derive_what_clingo_derives(seed: int) -> None:
    for at in range(PROGRAMS // 10):
        programs = Programs(seed * PROGRAMS + at)
        rules, facts = programs.rules(), programs.facts()
        assert ours(rules, facts) == clingo_derives(rules, facts), "\n".join(
            map(str, [*facts, *rules.values()])
        )


def test_the_random_programs_have_what_they_are_to_test() -> None:
    kinds = {"rules": 0, "recursive": 0, "negation": 0, "arithmetic": 0, "derived": 0}
    for seed in range(PROGRAMS):
        programs = Programs(seed)
        rules, facts = programs.rules(), programs.facts()
        derived = ours(rules, facts) - {str(fact).replace(" ", "") for fact in facts}
        predicates = {one.partition("(")[0] for one in derived}
        fired = [rule for rule in rules.values() if rule.head.predicate in predicates]
        kinds["rules"] += len(fired)
        kinds["derived"] += len(derived)
        for rule in fired:
            body = {atom.predicate for atom in rule.positive}
            kinds["recursive"] += rule.head.predicate in body
            kinds["negation"] += bool(rule.negated)
            kinds["arithmetic"] += any(one.operator == "=" for one in rule.comparisons)
    assert min(kinds.values()) > 50, kinds
