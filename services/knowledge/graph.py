"""The graph's one hop: from the concepts of a question to the rules and facts about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TypeVar

from services.common.records import Entry, Fact, Retrieved, Rule
from services.knowledge.concepts import concept_key, mentioned
from services.knowledge.rules.check import states_conflict
from services.knowledge.rules.language import Clause
from services.knowledge.rules.parsing import RuleError, parse_rule

GRAPH = "graph"
"""The leg that entries reached through the graph are ranked in."""

_Key = TypeVar("_Key", str, int)

PER_CONCEPT = 32
"""Rules and facts looked at per concept, the first by id: some concepts have thousands."""


def about(entry: Entry) -> frozenset[str]:
    """Keys of the concepts that an entry is about: those it names, and those of its body.

    Of a fact subject, relation and object; of a rule its predicates and constants.
    An integrity rule is for those who keep the knowledge, and about nothing that is asked.
    """
    names = [*entry.concepts]
    if isinstance(entry.body, Fact):
        names += [entry.body.subject, entry.body.relation, entry.body.object]
    elif isinstance(entry.body, Rule):
        clause = _clause(entry.body)
        if clause and states_conflict(clause.head.predicate):
            return frozenset()
        names += [atom.predicate for atom in clause.atoms] if clause else []
        names += [str(name) for name in clause.constants] if clause else []
    return frozenset(filter(None, map(concept_key, names)))


def relations_of(rules: Iterable[Entry]) -> frozenset[str]:
    """The predicates in the bodies of rules: the relations whose facts may feed them."""
    clauses = [_clause(entry.body) for entry in rules if isinstance(entry.body, Rule)]
    return frozenset(atom.predicate for clause in clauses if clause for atom in clause.atoms[1:])


def _clause(rule: Rule) -> Clause | None:
    """The rule, parsed; None for one that a store brought and this version cannot read."""
    try:
        return parse_rule(rule.text)
    except RuleError:
        return None


def seeds(question: str, found: Iterable[Entry]) -> list[str]:
    """Keys of the concepts to start from: of the question's words, and of the entries found."""
    keys = dict.fromkeys(mentioned(question))
    for entry in found:
        keys.update(dict.fromkeys(sorted(about(entry))))
    return list(keys)


def related(
    reached: Mapping[str, Sequence[Entry]], found: Iterable[Entry], limit: int
) -> tuple[Retrieved, ...]:
    """The rules and facts to add to what was found.

    Args:
        reached: per seed concept the rules and facts about it, at most PER_CONCEPT.
        found: entries that were ranked; they are not added again.
        limit: most entries to add.

    Returns:
        Those that share most seeds first, then by id; rank from 1 in the leg GRAPH, score 0.
    """
    entries = {entry.id: entry for of_concept in reached.values() for entry in of_concept}
    ids = {concept: [entry.id for entry in of_concept] for concept, of_concept in reached.items()}
    best = most_shared(ids, {entry.id for entry in found}, limit)
    return tuple(
        Retrieved(entries[entry_id], 0.0, {GRAPH: rank}) for rank, entry_id in enumerate(best, 1)
    )


def most_shared(
    reached: Mapping[str, Iterable[_Key]], left_out: Container[_Key], limit: int
) -> list[_Key]:
    """The keys that most concepts reached, but for those left out; ties by key."""
    shared = Counter(key for of_concept in reached.values() for key in of_concept)
    wanted = (key for key in shared if key not in left_out)
    return sorted(wanted, key=lambda key: (-shared[key], key))[:limit]
