"""Rules and facts that no question of the release leads to.

Every question touches the concepts that it mentions, and those that its entry is about. A rule
or fact about a touched concept is reached. A fact that is reached touches its subject and its
object, and reaches the rules that ask for its relation; a rule that is reached touches its
predicates and texts, and so the facts that feed it. What is never reached is found only by a
user who happens to name it; mostly a name in it is misspelt.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.common.records import Entry, Fact, Rule
from services.knowledge.concepts import concept_key, mentioned
from services.knowledge.graph import about


class Orphans:
    """Finds them in two passes: first all rules and facts, then all entries.

    Args:
        graph: the rules and facts of the release.
    """

    def __init__(self, graph: Iterable[Entry]) -> None:
        self._ids: set[str] = set()
        self._by_key: dict[str, list[Entry]] = {}
        self._touched: set[str] = set()
        self._has_questions = False
        for entry in graph:
            keys = about(entry)
            if (
                keys
            ):  # a rule that says what must never hold is about nothing, and wants no question
                self._ids.add(entry.id)
            for key in keys:
                self._by_key.setdefault(key, []).append(entry)

    def touch(self, entry: Entry) -> None:
        """Takes in what the entry's question leads to, if it has one."""
        if entry.question:
            self._has_questions = True
            self._touched |= {*mentioned(entry.question), *about(entry)} & self._by_key.keys()

    def found(self) -> tuple[str, ...]:
        """Ids of the orphans, sorted; none when no entry has a question to come from."""
        if not self._has_questions:
            return ()
        reached: set[str] = set()
        todo = [entry for key in self._touched for entry in self._by_key[key]]
        touched = set(self._touched)
        while todo:
            entry = todo.pop()
            if entry.id in reached:
                continue
            reached.add(entry.id)
            for key in _touched_by(entry) - touched:
                touched.add(key)
                todo += self._by_key.get(key, ())
            if isinstance(entry.body, Fact):
                asking = self._by_key[concept_key(entry.body.relation)]
                todo += [one for one in asking if isinstance(one.body, Rule)]
        return tuple(sorted(self._ids - reached))


def _touched_by(entry: Entry) -> frozenset[str]:
    if isinstance(entry.body, Fact):
        return frozenset(map(concept_key, (entry.body.subject, entry.body.object)))
    return about(entry)
