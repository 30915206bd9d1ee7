"""How a rule is evaluated: its body as steps, each of which extends rows of values.

A row starts with the rule's constants. A join appends the values of the arguments that have
none yet, so every variable has a fixed place in the rows behind it: its slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from services.knowledge.rules.language import (
    ANONYMOUS,
    Arithmetic,
    Atom,
    Clause,
    Comparison,
    Constant,
    Expression,
    Literal,
    Negation,
    Term,
    Variable,
    variables,
)

Slots: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """Appends, of each fact that has at `positions` what the row has in `key`, the `rest`.

    `recent`: only of facts that the last round derived.
    """

    predicate: str
    positions: Slots
    key: Slots
    rest: Slots
    recent: bool


@dataclass(frozen=True, slots=True)
class Absence:
    """Keeps the row if no fact has at `positions` what the row has in `key`."""

    predicate: str
    positions: Slots
    key: Slots


@dataclass(frozen=True, slots=True)
class Assignment:
    """Appends what the arithmetic comes to; drops the row where it comes to nothing."""

    value: SlotExpression


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps the row if the comparison holds."""

    left: SlotExpression
    operator: str
    right: SlotExpression


@dataclass(frozen=True, slots=True)
class SlotArithmetic:
    """Arithmetic over slots."""

    left: SlotExpression
    operator: str
    right: SlotExpression


SlotExpression: TypeAlias = "int | SlotArithmetic"
Step: TypeAlias = Join | Absence | Assignment | Filter


@dataclass(frozen=True, slots=True)
class Plan:
    """A safe rule, ready to run.

    Attributes:
        rule_id: of the rule.
        constants: what every row starts with.
        steps: in the order in which they run.
        predicate: of the head.
        head: slots of the head's arguments.
        premises: predicate and slots of the arguments of each positive atom, as written.
    """

    rule_id: str
    constants: tuple[Constant, ...]
    steps: tuple[Step, ...]
    predicate: str
    head: Slots
    premises: tuple[tuple[str, Slots], ...]


def make_plan(rule_id: str, clause: Clause, *, recent: int | None = None) -> Plan:
    """Orders a safe rule's body: tests as soon as they can be made, the most bound atom next.

    Args:
        rule_id: of the rule.
        clause: a rule that `check_rules` passes.
        recent: place in the body of the positive atom that takes only recent facts, and goes
            first; None for none.
    """
    return _Planner(clause).plan(rule_id, recent)


class _Planner:
    """The state of ordering one body."""

    def __init__(self, clause: Clause) -> None:
        self._clause = clause
        self._constants = clause.constants
        self._slots: dict[Term, int] = {term: at for at, term in enumerate(clause.constants)}
        self._width = len(self._slots)
        self._steps: list[Step] = []
        self._premises: dict[int, tuple[str, Slots]] = {}

    def plan(self, rule_id: str, recent: int | None) -> Plan:
        todo = dict(enumerate(self._clause.body))
        if recent is not None:
            self._join(recent, recent=True)
            del todo[recent]
        while todo:
            place = next((at for at, one in todo.items() if self._is_ready(one)), None)
            if place is None:
                place = max(todo, key=lambda at: self._bound_arguments(todo[at]))
                self._join(place)
            else:
                self._add(todo[place])
            del todo[place]
        return Plan(
            rule_id=rule_id,
            constants=self._constants,
            steps=tuple(self._steps),
            predicate=self._clause.head.predicate,
            head=self._slots_of(self._clause.head.arguments),
            premises=tuple(premise for _, premise in sorted(self._premises.items())),
        )

    def _is_ready(self, literal: Literal) -> bool:
        if isinstance(literal, Atom):
            return False
        return self._knows(literal.variables) or self._assignment(literal) is not None

    def _knows(self, names: Iterable[Variable]) -> bool:
        return all(name in self._slots for name in names)

    def _assignment(self, literal: Literal) -> tuple[Variable, Expression] | None:
        if isinstance(literal, Comparison):
            for target, value in literal.assignments:
                if target not in self._slots and self._knows(variables(value)):
                    return target, value
        return None

    def _bound_arguments(self, literal: Literal) -> int:
        """-1 for what is no atom: it is never joined."""
        if not isinstance(literal, Atom):
            return -1
        return sum(term in self._slots for term in literal.arguments)

    def _add(self, literal: Literal) -> None:
        assignment = self._assignment(literal)
        if assignment is not None:
            target, value = assignment
            slot = self._expression(value)
            if isinstance(slot, SlotArithmetic):
                self._steps.append(Assignment(slot))
                slot = self._append()
            self._slots[target] = slot
        elif isinstance(literal, Negation):
            atom = literal.atom
            positions = tuple(at for at, term in enumerate(atom.arguments) if term != ANONYMOUS)
            key = self._slots_of(atom.arguments[at] for at in positions)
            self._steps.append(Absence(atom.predicate, positions, key))
        elif isinstance(literal, Comparison):
            left, right = self._expression(literal.left), self._expression(literal.right)
            self._steps.append(Filter(left, literal.operator, right))

    def _join(self, place: int, *, recent: bool = False) -> None:
        atom = self._clause.body[place]
        assert isinstance(atom, Atom)  # noqa: S101 - _bound_arguments sees to it
        positions = tuple(at for at, term in enumerate(atom.arguments) if term in self._slots)
        key = self._slots_of(atom.arguments[at] for at in positions)
        rest = tuple(at for at in range(len(atom.arguments)) if at not in positions)
        self._steps.append(Join(atom.predicate, positions, key, rest, recent))
        slots = []
        for at, term in enumerate(atom.arguments):
            if at in positions:
                slots.append(self._slots[term])
                continue
            slots.append(self._append())
            if term in self._slots:
                self._steps.append(Filter(self._slots[term], "=", slots[-1]))
            elif term != ANONYMOUS:
                self._slots[term] = slots[-1]
        self._premises[place] = (atom.predicate, tuple(slots))

    def _append(self) -> int:
        self._width += 1
        return self._width - 1

    def _slots_of(self, terms: Iterable[Term]) -> Slots:
        return tuple(self._slots[term] for term in terms)

    def _expression(self, expression: Expression) -> SlotExpression:
        if not isinstance(expression, Arithmetic):
            return self._slots[expression]
        return SlotArithmetic(
            self._expression(expression.left),
            expression.operator,
            self._expression(expression.right),
        )
