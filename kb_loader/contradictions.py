"""Contradictions between facts and rules.

What must never hold is written as a rule of its own, an integrity rule: one whose head is
`conflict` or `contradiction`, or begins with `conflict_` or `contradiction_`. For instance,
that nobody is born in two places, and that nothing is both alive and a stone:

    conflict_born(X, A, B) :- born_in(X, A), born_in(X, B), A != B.
    conflict_alive(X) :- alive(X, yes), is_a(X, stone).

Everything that such a rule derives is a contradiction; its proof names the facts and rules of
which one must be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.common.records import Entry, Fact
from services.knowledge.rules.check import faults, states_conflict
from services.knowledge.rules.engine import Limits, evaluate
from services.knowledge.rules.language import Atom, Clause, Constant
from services.knowledge.rules.model import Model
from services.knowledge.rules.values import QUESTION_PREDICATES, plain_number
from services.knowledge.rules.wording import in_words

LIMITS: Final = Limits(
    max_facts=10_000_000, max_derived=1_000_000, max_rounds=10_000, timeout_s=120.0
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What an integrity rule derived, and the ids of the facts and rules it rests on."""

    text: str
    entry_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradictions:
    """Those found; `unknown` says why there may be more, "" when there are none."""

    found: tuple[Contradiction, ...]
    unknown: str = ""


def contradictions(
    rules: Mapping[str, Clause], facts: Sequence[Entry], *, limits: Limits = LIMITS
) -> Contradictions:
    """All that follows from the integrity rules; nothing when there is none.

    Args:
        rules: by id, sound or not.
        facts: entries with a Fact each.
        limits: of time and size.
    """
    needed = _needed(rules)
    names = {atom.predicate for rule in needed.values() for atom in rule.atoms}
    names -= QUESTION_PREDICATES.keys()
    used = [entry for entry in facts if _relation(entry) in names]
    refused = {problem.rule_id for problem in faults(needed, set(map(_relation, used)))}
    if refused:
        listed = ", ".join(sorted(refused))
        return Contradictions((), f"the integrity rules rest on rules that are refused: {listed}")
    model = evaluate(needed, [_atom(entry) for entry in used], limits=limits)
    unknown = f"the evaluation reached its limit {model.limit}" if model.limit else ""
    derived = (
        Contradiction(_text(model, number, used), _entry_ids(model, number, used))
        for number in range(model.given, len(model))
        if states_conflict(model.atom(number).predicate)
    )
    # One pair of facts contradicts in both orders: A and B, B and A.
    once = {frozenset(one.entry_ids): one for one in reversed(list(derived))}
    return Contradictions(tuple(reversed(once.values())), unknown)


def _needed(rules: Mapping[str, Clause]) -> dict[str, Clause]:
    """The integrity rules, and the rules that they rest on."""
    wanted = {
        rule.head.predicate for rule in rules.values() if states_conflict(rule.head.predicate)
    }
    todo = list(wanted)
    while todo:
        predicate = todo.pop()
        for rule in rules.values():
            if rule.head.predicate == predicate:
                new = {atom.predicate for atom in rule.atoms} - wanted
                wanted |= new
                todo += new
    return {name: rule for name, rule in rules.items() if rule.head.predicate in wanted}


def _relation(entry: Entry) -> str:
    return entry.body.relation if isinstance(entry.body, Fact) else ""


def _atom(entry: Entry) -> Atom:
    assert isinstance(entry.body, Fact)  # noqa: S101 - only facts are taken
    return Atom(entry.body.relation, (_value(entry.body.subject), _value(entry.body.object)))


def _value(text: str) -> Constant:
    number = plain_number(text)
    return text if number is None else number


def _proof(model: Model, number: int) -> tuple[list[int], list[str]]:
    """The given facts that a derived one rests on, by number, and the rules, by id."""
    needed = {number}
    rules: dict[str, None] = {}
    for one in range(number, model.given - 1, -1):  # premises have smaller numbers
        if one in needed:
            proof = model.proof(one)
            needed.update(proof.premises)
            rules[proof.rule_id] = None
    return sorted(one for one in needed if one < model.given), list(rules)


def _entry_ids(model: Model, number: int, facts: Sequence[Entry]) -> tuple[str, ...]:
    premises, rules = _proof(model, number)
    return (*(facts[premise].id for premise in premises), *rules)


def _text(model: Model, number: int, facts: Sequence[Entry]) -> str:
    premises, rules = _proof(model, number)
    said = [f'"{facts[premise].text}" ({facts[premise].id})' for premise in premises]
    return f"{in_words(model.atom(number))}: {' and '.join(said)}, by {', '.join(rules)}"
