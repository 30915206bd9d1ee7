"""What follows from rules and facts, with a proof of each derived fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.knowledge.rules.language import Atom, Variable
from services.knowledge.rules.plan import Plan
from services.knowledge.rules.relation import Relation, Row, Values, row_at


class Truth(StrEnum):
    """Whether an atom follows."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proof:
    """The last step to a derived fact: the rule, and the facts that its positive atoms met."""

    rule_id: str
    premises: tuple[int, ...]


class Model:
    """Numbered facts: the given ones as they were given, then the derived ones in order.

    A fact's premises have smaller numbers than it has.

    Attributes:
        limit: name of the limit that ended the evaluation; "" when it is complete.
        given: how many facts were given.
        values: the values of all rows.
        relations: the facts by predicate.
    """

    def __init__(self) -> None:
        self.limit = ""
        self.given = 0
        self.values = Values()
        self.relations: dict[str, Relation] = {}
        self._predicates: list[str] = []
        self._rows: list[Row] = []
        self._proofs: list[tuple[Plan, Row]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def atom(self, number: int) -> Atom:
        """The fact with this number; its texts as they were first spelt."""
        values = tuple(self.values[value] for value in self._rows[number])
        return Atom(self._predicates[number], values)

    def row(self, number: int) -> Row:
        """The values of the fact with this number, by their numbers."""
        return self._rows[number]

    def proof(self, number: int) -> Proof:
        """How a derived fact, one with a number from `given` on, was first derived."""
        plan, row = self._proofs[number - self.given]
        return Proof(
            plan.rule_id,
            tuple(
                self.relations[predicate].numbers[row_at(slots)(row)]
                for predicate, slots in plan.premises
            ),
        )

    def truth(self, atom: Atom) -> Truth:
        """Whether an atom without variables follows; not derived before a limit is unknown."""
        if self._row(atom) in self.relation(atom.predicate).numbers:
            return Truth.TRUE
        return Truth.UNKNOWN if self.limit else Truth.FALSE

    def relation(self, predicate: str) -> Relation:
        """The facts of a predicate."""
        if predicate not in self.relations:
            self.relations[predicate] = Relation()
        return self.relations[predicate]

    def give(self, atom: Atom) -> None:
        """Adds a fact before any is derived; in proofs one given twice is the first."""
        row = self._row(atom)
        relation = self.relation(atom.predicate)
        if row not in relation.numbers:
            relation.add([row], first=self.given)
        self._predicates.append(atom.predicate)
        self._rows.append(row)
        self.given += 1

    def derive(self, predicate: str, derived: Mapping[Row, tuple[Plan, Row]]) -> None:
        """Adds facts that are not there yet, each with the plan and its row that derived it."""
        self.relation(predicate).add(derived, first=len(self._rows))
        self._predicates += [predicate] * len(derived)
        self._rows += derived
        self._proofs += derived.values()

    def _row(self, atom: Atom) -> Row:
        return tuple(
            self.values.number(term) for term in atom.arguments if not isinstance(term, Variable)
        )
