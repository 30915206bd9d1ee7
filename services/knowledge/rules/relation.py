"""Values as small integers, and facts over them with the indexes that joins ask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from itertools import count
from operator import itemgetter
from typing import TypeAlias

from services.knowledge.concepts import concept_key
from services.knowledge.rules.language import Constant

Row: TypeAlias = tuple[int, ...]
Index: TypeAlias = dict[Hashable, list[Row]]


class Values:
    """Gives every value a number, equal values the same; the first spelling of a text stands."""

    def __init__(self) -> None:
        self._values: list[Constant] = []
        self._numbers: dict[Constant, int] = {}

    def __getitem__(self, number: int) -> Constant:
        return self._values[number]

    def number(self, value: Constant) -> int:
        """The value's number."""
        key = concept_key(value) if isinstance(value, str) else value
        number = self._numbers.setdefault(key, len(self._values))
        if number == len(self._values):
            self._values.append(value)
        return number


class Relation:
    """The facts of one predicate; `numbers` has each with its number."""

    def __init__(self) -> None:
        self.numbers: dict[Row, int] = {}
        self._indexes: dict[tuple[Row, Row], Index] = {}

    def add(self, rows: Collection[Row], *, first: int) -> None:
        """Adds facts that are not there yet; their numbers count from `first`."""
        self.numbers.update(zip(rows, count(first), strict=False))
        for (positions, rest), index in self._indexes.items():
            _extend(index, positions, rest, rows)

    def index(self, positions: Row, rest: Row) -> Index:
        """The arguments `rest` of all facts, by those at `positions`; it stays up to date."""
        index = self._indexes.get((positions, rest))
        if index is None:
            index = self._indexes[positions, rest] = {}
            _extend(index, positions, rest, self.numbers)
        return index


def _extend(index: Index, positions: Row, rest: Row, rows: Iterable[Row]) -> None:
    key, others = key_at(positions), row_at(rest)
    for row in rows:
        index.setdefault(key(row), []).append(others(row))


def key_at(positions: Row) -> Callable[[Row], Hashable]:
    """What a row has at the positions, as a key: the value itself where it is one."""
    return itemgetter(*positions) if positions else row_at(())


def row_at(positions: Row) -> Callable[[Row], Row]:
    """What a row has at the positions, as a row."""
    if not positions:
        return lambda _: ()
    if len(positions) == 1:
        (at,) = positions
        return lambda row: (row[at],)
    return itemgetter(*positions)
