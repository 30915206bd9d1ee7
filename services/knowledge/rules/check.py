"""What is refused: rules that cannot be evaluated safely, or that nothing can ever feed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.knowledge.rules.dependencies import layers, shortest_path
from services.knowledge.rules.language import (
    ANONYMOUS,
    Arithmetic,
    Atom,
    Clause,
    Comparison,
    Variable,
    variables,
)
from services.knowledge.rules.values import QUESTION_PREDICATES

RELATION_ARITY = 2


_CONFLICT = re.compile(r"(conflict|contradiction)(_\w*)?")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the rule with this id is refused, in one sentence."""

    rule_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.reason}"


def states_conflict(predicate: str) -> bool:
    """Whether a rule with this head says what must never hold (docs/dump-format.md)."""
    return bool(_CONFLICT.fullmatch(predicate))


def check_rules(rules: Mapping[str, Clause], known_relations: Collection[str]) -> list[Problem]:
    """Everything for which these rules, by id, are refused together; [] when they are sound.

    Args:
        rules: all that are to be evaluated together, by id.
        known_relations: names of all the relations that facts may have.
    """
    return [*faults(rules, known_relations), *_unknown_predicates(rules, known_relations)]


def faults(rules: Mapping[str, Clause], known_relations: Collection[str]) -> list[Problem]:
    """As `check_rules`, but a predicate that nothing provides passes: it is never true."""
    return [
        *_question_heads(rules),
        *_wrong_arities(rules, known_relations),
        *(Problem(name, reason) for name, rule in rules.items() for reason in _unsafe(rule)),
        *_recursion(rules),
    ]


def _question_heads(rules: Mapping[str, Clause]) -> Iterator[Problem]:
    for rule_id, rule in rules.items():
        if rule.head.predicate in QUESTION_PREDICATES:
            yield Problem(
                rule_id,
                f"the head {rule.head.predicate} is read from the question; no rule derives it.",
            )


def _wrong_arities(rules: Mapping[str, Clause], relations: Collection[str]) -> Iterator[Problem]:
    arities = dict.fromkeys(relations, (RELATION_ARITY, "as a relation of facts"))
    arities |= {name: (arity, "in questions") for name, arity in QUESTION_PREDICATES.items()}
    for rule_id, rule in rules.items():
        for atom in rule.atoms:
            here = len(atom.arguments)
            arity, where = arities.setdefault(atom.predicate, (here, f"in rule {rule_id}"))
            if here != arity:
                yield Problem(
                    rule_id,
                    f"the predicate {atom.predicate} has {here} argument{'s'[: here != 1]}, "
                    f"but {arity} {where}.",
                )


def _unknown_predicates(
    rules: Mapping[str, Clause], relations: Collection[str]
) -> Iterator[Problem]:
    provided = {*relations, *QUESTION_PREDICATES, *(rule.head.predicate for rule in rules.values())}
    for rule_id, rule in rules.items():
        names = dict.fromkeys(atom.predicate for atom in (*rule.positive, *rule.negated))
        for name in names:
            if name not in provided:
                yield Problem(
                    rule_id,
                    f"the predicate {name} is unknown: no fact has it as relation, "
                    "no rule derives it and no question gives it.",
                )


def _unsafe(rule: Clause) -> Iterator[str]:
    """Reasons why a part of the rule would be asked of a variable without a value."""
    bound = _reached(_variables(rule.positive), rule.comparisons)
    for part in (rule.head, *rule.body):
        if isinstance(part, Atom) and part is not rule.head:
            continue
        for variable in dict.fromkeys(part.variables):
            if variable not in bound:
                place = "the head" if part is rule.head else f'"{part}"'
                yield (
                    f"the variable {variable} of {place} has no value: "
                    "no positive atom and no assignment gives it one."
                )


def _recursion(rules: Mapping[str, Clause]) -> Iterator[Problem]:
    """Negation within recursion has no agreed meaning; new numbers within it have no end."""
    clauses = list(rules.values())
    group_of = {name: group for group in layers(clauses) for name in group}
    for rule_id, rule in rules.items():
        head, group = rule.head.predicate, group_of[rule.head.predicate]
        for atom in rule.negated:
            if atom.predicate in group:
                way = " -> ".join(shortest_path(clauses, atom.predicate, head))
                yield Problem(
                    rule_id,
                    f"the predicate {head} rests on its own negation: {head} -> not {way}.",
                )
        if any(atom.predicate in group for atom in rule.positive):
            invented = _invented(rule, group)
            for variable in dict.fromkeys(rule.head.variables):
                if variable in invented:
                    yield Problem(
                        rule_id,
                        f"the recursion through {head} has no bound: "
                        f"arithmetic makes a new number for {variable} in every round.",
                    )


def _invented(rule: Clause, group: frozenset[str]) -> set[Variable]:
    """Variables to which a recursive rule may give ever new numbers.

    What atoms outside the recursion bind takes finitely many values, and so does arithmetic
    over it.
    """
    outside = (atom for atom in rule.positive if atom.predicate not in group)
    bounded = _reached(_variables(outside), rule.comparisons)
    passed_on = bounded | _variables(rule.positive)
    plain = [
        comparison
        for comparison in rule.comparisons
        if not any(isinstance(side, Arithmetic) for side in (comparison.left, comparison.right))
    ]
    assigned = _reached(_variables(rule.positive), rule.comparisons)
    return assigned - _reached(passed_on, plain)


def _reached(bound: set[Variable], comparisons: Iterable[Comparison]) -> set[Variable]:
    """`bound`, with all that assignments give a value from there."""
    todo = [way for comparison in comparisons for way in comparison.assignments]
    grown = True
    while grown:
        new = {target for target, value in todo if bound.issuperset(variables(value))} - bound
        bound |= new
        grown = bool(new)
    return bound


def _variables(atoms: Iterable[Atom]) -> set[Variable]:
    return {variable for atom in atoms for variable in atom.variables} - {ANONYMOUS}
