"""Evaluates rules bottom-up: semi-naive, layer by layer, with one proof of each fact.

A layer is complete before a rule of a later one asks what is missing from it, so negation is
sound (stratified Datalog; Abiteboul, Hull, Vianu: Foundations of Databases, ch. 13 and 15).
Once a limit is reached nothing more is known: what was not derived is unknown, never false.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from services.knowledge.rules.dependencies import layers
from services.knowledge.rules.language import Atom, Clause, Constant
from services.knowledge.rules.model import Model
from services.knowledge.rules.plan import (
    Absence,
    Assignment,
    Filter,
    Join,
    Plan,
    SlotExpression,
    make_plan,
)
from services.knowledge.rules.relation import Index, Relation, Row, key_at, row_at

_LOOK_AT_CLOCK_EVERY = 256
_ARITHMETIC: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_ORDER: Mapping[str, Callable[[Fraction, Fraction], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_Derived: TypeAlias = dict[str, dict[Row, tuple[Plan, Row]]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where an evaluation ends.

    Attributes:
        max_facts: facts given.
        max_derived: facts derived.
        max_rounds: rounds in which one layer of rules is evaluated.
        max_number_bits: size of a number: of its numerator, and of its denominator.
        timeout_s: time for all of it, in seconds.
        max_conclusions: conclusions shown. The rest is left out; that ends nothing early.
    """

    max_facts: int = 100_000
    max_derived: int = 50_000
    max_rounds: int = 1_000
    max_number_bits: int = 512
    timeout_s: float = 1.0
    max_conclusions: int = 8


DEFAULT_LIMITS = Limits()


def evaluate(
    rules: Mapping[str, Clause], facts: Sequence[Atom], *, limits: Limits = DEFAULT_LIMITS
) -> Model:
    """All that follows.

    Args:
        rules: by id; sound ones (`check.faults` finds nothing).
        facts: atoms without variables.
        limits: where to end; the model then names the limit.
    """
    model = Model()
    evaluation = _Evaluation(model, limits)
    by_head: dict[str, list[tuple[str, Clause]]] = {}
    for rule_id, rule in rules.items():
        by_head.setdefault(rule.head.predicate, []).append((rule_id, rule))
    try:
        evaluation.give(facts)
        for group in layers(rules.values()):
            evaluation.run_layer(
                [named for predicate in sorted(group) for named in by_head[predicate]], group
            )
    except _LimitReachedError as reached:
        model.limit = str(reached)
    return model


class _LimitReachedError(Exception):
    """Ends the evaluation; says the name of the limit."""


class _UndefinedError(Exception):
    """An expression that has no value: a division by zero, arithmetic on a text."""


class _Evaluation:
    """Fills a model, within its limits."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._ends_at = time.monotonic() + limits.timeout_s
        self._steps = 0

    def give(self, facts: Sequence[Atom]) -> None:
        if len(facts) > self._limits.max_facts:
            raise _LimitReachedError("max_facts")
        for fact in facts:
            self._step()
            self._model.give(fact)

    def run_layer(self, rules: Sequence[tuple[str, Clause]], group: frozenset[str]) -> None:
        """Runs the rules whose heads are in `group` until nothing new comes."""
        first = [make_plan(rule_id, rule) for rule_id, rule in rules]
        following = [
            make_plan(rule_id, rule, recent=place)
            for rule_id, rule in rules
            for place, literal in enumerate(rule.body)
            if isinstance(literal, Atom) and literal.predicate in group
        ]
        derived = self._round(first, {})
        rounds = 1
        while derived:
            recent = self._add(derived)
            if not following:
                return
            if rounds == self._limits.max_rounds:
                raise _LimitReachedError("max_rounds")
            derived = self._round(following, recent)
            rounds += 1

    def _round(self, plans: Iterable[Plan], recent: Mapping[str, Relation]) -> _Derived:
        """What the plans derive that is not in the model yet."""
        derived: _Derived = {}
        room = self._limits.max_derived - (len(self._model) - self._model.given)
        for plan in plans:
            known = self._model.relation(plan.predicate).numbers
            new = derived.setdefault(plan.predicate, {})
            head = row_at(plan.head)
            for row in self._rows(plan, recent):
                fact = head(row)
                if fact not in known and fact not in new:
                    if not room:
                        raise _LimitReachedError("max_derived")
                    room -= 1
                    new[fact] = (plan, row)
        return {predicate: new for predicate, new in derived.items() if new}

    def _add(self, derived: _Derived) -> Mapping[str, Relation]:
        """Adds them to the model; returns them as relations of their own."""
        recent: dict[str, Relation] = {}
        for predicate, new in derived.items():
            self._model.derive(predicate, new)
            recent[predicate] = Relation()
            recent[predicate].add(new, first=0)
        return recent

    def _rows(self, plan: Plan, recent: Mapping[str, Relation]) -> Iterator[Row]:
        """The rows that pass through all steps of the plan, one at a time."""
        rows = iter([tuple(map(self._model.values.number, plan.constants))])
        for step in plan.steps:
            if isinstance(step, Join):
                if not step.recent:
                    relation = self._model.relation(step.predicate)
                elif step.predicate in recent:
                    relation = recent[step.predicate]
                else:
                    return iter(())
                rows = self._joined(rows, step, relation.index(step.positions, step.rest))
            elif isinstance(step, Absence):
                index = self._model.relation(step.predicate).index(step.positions, ())
                rows = _without(rows, step, index)
            elif isinstance(step, Assignment):
                rows = self._assigned(rows, step)
            else:
                rows = self._filtered(rows, step)
        return rows

    def _joined(self, rows: Iterator[Row], step: Join, index: Index) -> Iterator[Row]:
        key = key_at(step.key)
        for row in rows:
            for rest in index.get(key(row), ()):
                self._step()
                yield row + rest

    def _assigned(self, rows: Iterator[Row], step: Assignment) -> Iterator[Row]:
        for row in rows:
            try:
                value = self._number(step.value, row)
            except _UndefinedError:
                continue
            yield (*row, value)

    def _filtered(self, rows: Iterator[Row], step: Filter) -> Iterator[Row]:
        for row in rows:
            try:
                holds = self._holds(step, row)
            except _UndefinedError:
                continue
            if holds:
                yield row

    def _holds(self, step: Filter, row: Row) -> bool:
        if step.operator in _ORDER:
            left, right = self._value(step.left, row), self._value(step.right, row)
            if isinstance(left, Fraction) and isinstance(right, Fraction):
                return _ORDER[step.operator](left, right)
            return False
        same = self._number(step.left, row) == self._number(step.right, row)
        return same == (step.operator == "=")

    def _number(self, expression: SlotExpression, row: Row) -> int:
        """The number of the expression's value."""
        if isinstance(expression, int):
            return row[expression]
        return self._model.values.number(self._value(expression, row))

    def _value(self, expression: SlotExpression, row: Row) -> Constant:
        if isinstance(expression, int):
            return self._model.values[row[expression]]
        left, right = self._value(expression.left, row), self._value(expression.right, row)
        if not isinstance(left, Fraction) or not isinstance(right, Fraction):
            raise _UndefinedError
        if expression.operator == "/" and not right:
            raise _UndefinedError
        value = _ARITHMETIC[expression.operator](left, right)
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if bits > self._limits.max_number_bits:
            raise _LimitReachedError("max_number_bits")
        return value

    def _step(self) -> None:
        """Counts a step of the innermost loops, and now and then looks at the clock."""
        self._steps += 1
        if self._steps % _LOOK_AT_CLOCK_EVERY == 0 and time.monotonic() > self._ends_at:
            raise _LimitReachedError("timeout_s")


def _without(rows: Iterator[Row], step: Absence, index: Index) -> Iterator[Row]:
    key = key_at(step.key)
    return (row for row in rows if key(row) not in index)
