"""A release's rules and facts by what they are about."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from services.common.records import Entry, Fact
from services.knowledge.graph import PER_CONCEPT, about


class GraphIndex:
    """Positions of rules and facts by concept and by relation. Immutable: threads may share it.

    Args:
        graph: position and entry of every rule and fact, by position.
    """

    def __init__(self, graph: Iterable[tuple[int, Entry]] = ()) -> None:
        self._of_concept: dict[str, array[int]] = {}
        self._of_relation: dict[str, array[int]] = {}
        self._add(graph)

    def moved(self, moved: Sequence[int], added: Iterable[tuple[int, Entry]]) -> GraphIndex:
        """The index of the next release.

        Args:
            moved: per position here the one there, in the same order; -1 where there is none.
            added: position and entry of rules and facts that are only there, by position.
        """
        index = GraphIndex()
        index._of_concept = _moved(self._of_concept, moved)
        index._of_relation = _moved(self._of_relation, moved)
        index._add(added)
        return index

    def reached(self, concepts: Iterable[str]) -> Mapping[str, Sequence[int]]:
        """Per concept that there is the first positions about it, at most PER_CONCEPT."""
        of_concept = self._of_concept
        return {key: of_concept[key][:PER_CONCEPT] for key in concepts if key in of_concept}

    def facts(self, relations: Iterable[str], limit: int) -> list[int]:
        """The first positions of facts with one of these relations."""
        positions = (self._of_relation.get(relation, ()) for relation in set(relations))
        return list(islice(heapq.merge(*positions), limit))

    def _add(self, graph: Iterable[tuple[int, Entry]]) -> None:
        for position, entry in graph:
            for concept in about(entry):
                _insert(self._of_concept, concept, position)
            if isinstance(entry.body, Fact):
                _insert(self._of_relation, entry.body.relation, position)


def _insert(index: dict[str, array[int]], key: str, position: int) -> None:
    positions = index.setdefault(key, array("q"))
    if positions and positions[-1] > position:
        positions.insert(bisect(positions, position), position)
    else:
        positions.append(position)


def _moved(index: dict[str, array[int]], moved: Sequence[int]) -> dict[str, array[int]]:
    there = {key: array("q", _present(moved[place] for place in old)) for key, old in index.items()}
    return {key: positions for key, positions in there.items() if positions}


def _present(positions: Iterable[int]) -> list[int]:
    return [position for position in positions if position >= 0]
