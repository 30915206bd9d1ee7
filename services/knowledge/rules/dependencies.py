"""Which predicate rests on which: recursion, and the order in which rules are evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.knowledge.rules.language import Clause


def layers(clauses: Iterable[Clause]) -> list[frozenset[str]]:
    """The predicates that rules derive, in groups; each rests on itself and groups before it.

    The predicates of one group rest on each other (a strongly connected component, found by
    Tarjan's algorithm, without recursion so that a long chain of rules does no harm).
    """
    graph = _graph(clauses)
    found: list[frozenset[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    for root in graph:
        todo = [] if root in number else [(root, iter(graph[root]))]
        while todo:
            predicate, needed = todo[-1]
            if predicate not in number:
                number[predicate] = lowest[predicate] = len(number)
                path.append(predicate)
            following = next(needed, None)
            if following is not None:
                if following not in number:
                    todo.append((following, iter(graph[following])))
                elif following in lowest:
                    lowest[predicate] = min(lowest[predicate], number[following])
                continue
            todo.pop()
            if todo:
                above = todo[-1][0]
                lowest[above] = min(lowest[above], lowest[predicate])
            if lowest[predicate] == number[predicate]:
                group: set[str] = set()
                while predicate not in group:
                    member = path.pop()
                    group.add(member)
                    del lowest[member]  # no cycle to come leads through a finished one
                found.append(frozenset(group))
    return found


def shortest_path(clauses: Iterable[Clause], start: str, end: str) -> list[str]:
    """The predicates on a shortest way along which `start` rests on `end`; [] for none."""
    graph = _graph(clauses)
    before = {start: ""}
    queue = [start]
    for predicate in queue:
        if predicate == end:
            way = [end]
            while way[-1] != start:
                way.append(before[way[-1]])
            return way[::-1]
        for needed in graph.get(predicate, ()):
            if needed not in before:
                before[needed] = predicate
                queue.append(needed)
    return []


def _graph(clauses: Iterable[Clause]) -> Mapping[str, list[str]]:
    """Each derived predicate with the derived ones that its rules' bodies name."""
    needs: dict[str, dict[str, None]] = {}
    for clause in clauses:
        names = (atom.predicate for atom in (*clause.positive, *clause.negated))
        needs.setdefault(clause.head.predicate, {}).update(dict.fromkeys(names))
    return {
        predicate: [name for name in names if name in needs] for predicate, names in needs.items()
    }
