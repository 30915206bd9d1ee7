"""What rules conclude about a question from facts, each conclusion with its proof.

A rule that does not parse, or that the checks refuse, is skipped; so is one that asks for the
absence of what a skipped rule might have derived.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.common.records import Conclusion, Entry, Fact, ProofStep, Rule
from services.knowledge.rules.check import faults
from services.knowledge.rules.engine import DEFAULT_LIMITS, Limits, evaluate
from services.knowledge.rules.language import Atom, Clause, Constant
from services.knowledge.rules.model import Model
from services.knowledge.rules.parsing import RuleError, parse_rule
from services.knowledge.rules.values import QUESTION_PREDICATES, plain_number, question_values
from services.knowledge.rules.wording import in_words

_FIRST_NAME = re.compile(r"\A\s*([a-z][a-z0-9_]*)")
_parsed = lru_cache(maxsize=4096)(parse_rule)


@dataclass(frozen=True, slots=True)
class Inference:
    """What follows.

    Attributes:
        conclusions: the best first; none when a limit was reached.
        limit: name of the limit reached, which leaves everything unknown; "" for none.
        skipped: ids of the rules that were not used.
    """

    conclusions: tuple[Conclusion, ...]
    limit: str = ""
    skipped: tuple[str, ...] = ()


def infer(
    question: str,
    rules: Sequence[Entry],
    facts: Sequence[Entry],
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Inference:
    """What follows from the facts by the rules, as far as it has to do with the question.

    That is what mentions a value of the question or rests on one. First comes what mentions
    most of them, then what takes fewest steps. A fact whose relation is a predicate of
    questions is not used. What is not among `facts` counts as false where a rule negates it.

    Args:
        question: its simple values become facts (`services.knowledge.rules.values`).
        rules: entries with a Rule each.
        facts: entries with a Fact each.
        limits: of time and size, and `max_conclusions`.
    """
    written = {entry.id: entry for entry in rules}
    given = [
        (Atom(body.relation, (_value(body.subject), _value(body.object))), entry)
        for entry in facts
        if isinstance(body := entry.body, Fact) and body.relation not in QUESTION_PREDICATES
    ]
    atoms = [atom for atom, _ in given]
    used = _usable(rules, {atom.predicate for atom in atoms})
    said = question_values(question, _names(atoms, used.values()))
    model = evaluate(used, [*atoms, *said], limits=limits)
    skipped = tuple(rule_id for rule_id in written if rule_id not in used)
    if model.limit:
        return Inference((), model.limit, skipped)
    asked = {value for number in range(len(given), model.given) for value in model.row(number)}
    entries = [entry for _, entry in given]
    conclusions = (
        _conclusion(model, number, entries, written)
        for number in _best(model, asked, len(given), limits.max_conclusions)
    )
    return Inference(tuple(conclusions), "", skipped)


def _usable(entries: Iterable[Entry], relations: Collection[str]) -> dict[str, Clause]:
    """The sound rules, by id."""
    usable: dict[str, Clause] = {}
    incomplete: set[str] = set()
    for entry in entries:
        if isinstance(entry.body, Rule):
            try:
                usable[entry.id] = _parsed(entry.body.text)
            except RuleError:
                incomplete.update(_FIRST_NAME.findall(entry.body.text))
    refused = {problem.rule_id for problem in faults(usable, relations)}
    while True:
        heads = {usable.pop(rule_id).head.predicate for rule_id in refused}
        incomplete = _resting_on(incomplete | heads, usable.values())
        refused = {
            rule_id
            for rule_id, rule in usable.items()
            if any(atom.predicate in incomplete for atom in rule.negated)
        }
        if not refused:
            return usable


def _resting_on(predicates: set[str], clauses: Collection[Clause]) -> set[str]:
    """The predicates, with all that rules derive from them."""
    grown = set(predicates)
    while True:
        new = {
            clause.head.predicate
            for clause in clauses
            if any(atom.predicate in grown for atom in clause.positive)
        }
        if new <= grown:
            return grown
        grown |= new


def _value(text: str) -> Constant:
    number = plain_number(text)
    return text if number is None else number


def _names(facts: Iterable[Atom], rules: Iterable[Clause]) -> Iterator[str]:
    """The texts of facts and rules: what a question may mention."""
    values = (
        *(fact.arguments for fact in facts),
        *(rule.constants for rule in rules),
    )
    return (value for some in values for value in some if isinstance(value, str))


def _best(model: Model, asked: set[int], facts: int, count: int) -> list[int]:
    """The derived facts to show: those that have to do with the question, the best first.

    Args:
        model: what follows.
        asked: numbers of the question's values.
        facts: how many of the given facts are entries; the rest was read from the question.
        count: how many to show at most.
    """
    steps = [1] * model.given
    rests_on_question = [number >= facts for number in range(model.given)]
    ranked: list[tuple[int, int, str, int]] = []
    for number in range(model.given, len(model)):
        premises = model.proof(number).premises
        steps.append(1 + sum(steps[premise] for premise in premises))
        rests_on_question.append(any(rests_on_question[premise] for premise in premises))
        mentioned = len(asked.intersection(model.row(number)))
        if mentioned or rests_on_question[number]:
            ranked.append((-mentioned, steps[number], in_words(model.atom(number)), number))
    return [number for *_, number in heapq.nsmallest(count, ranked)]


def _conclusion(
    model: Model, number: int, facts: Sequence[Entry], rules: Mapping[str, Entry]
) -> Conclusion:
    """A derived fact, with the facts it rests on and then the rules, each in order of use."""
    needed = {number}
    for one in range(number, model.given - 1, -1):  # premises have smaller numbers
        if one in needed:
            needed.update(model.proof(one).premises)
    premises = sorted(one for one in needed if one < model.given)
    used = dict.fromkeys(model.proof(one).rule_id for one in sorted(needed - set(premises)))
    entries = [rules[rule_id] for rule_id in used]
    confidences = (entry.body.confidence for entry in entries if isinstance(entry.body, Rule))
    steps = [
        _step(facts[one]) if one < len(facts) else ProofStep(in_words(model.atom(one)), "", 0)
        for one in premises
    ]
    return Conclusion(
        text=in_words(model.atom(number)),
        confidence=math.prod(confidences),
        proof=(*steps, *map(_step, entries)),
    )


def _step(entry: Entry) -> ProofStep:
    return ProofStep(entry.text, entry.id, entry.revision)
