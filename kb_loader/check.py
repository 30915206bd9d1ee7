"""What is wrong, or may be, with the knowledge of a release: a report that a person acts on."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from kb_loader.contradictions import contradictions
from kb_loader.leaks import leaks
from kb_loader.orphans import Orphans
from services.common.records import Entry, Fact, Note, Revision, Rule
from services.knowledge.concepts import concept_key
from services.knowledge.duplicates import near_duplicates
from services.knowledge.protocol import Uses, Vector
from services.knowledge.rules.check import check_rules
from services.knowledge.rules.language import Clause
from services.knowledge.rules.parsing import RuleError, parse_rule

HARMFUL_AFTER = 5
"""Outcomes from which on an entry that was wrong more often than right counts as harmful."""

SIMILARITY = 0.95
"""Least cosine similarity of two notes that count as near-duplicates."""


class Severity(StrEnum):
    """How bad a finding is; a notice never fails a check."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class FindingKind(StrEnum):
    """What was found; ABOUT says what each is and what to do."""

    REFUSED_RULE = "refused_rule"
    CONTRADICTION = "contradiction"
    UNCHECKED = "unchecked"
    LOST_REDIRECT = "lost_redirect"
    DUPLICATE_FACT = "duplicate_fact"
    NEAR_DUPLICATE = "near_duplicate"
    LEAK = "leak"
    HARMFUL = "harmful"
    ORPHAN = "orphan"
    NEVER_USED = "never_used"


@dataclass(frozen=True, slots=True)
class About:
    """Of one kind of finding: how bad it is, what it is called, and what to do."""

    severity: Severity
    title: str
    advice: str


ABOUT: Mapping[FindingKind, About] = {
    FindingKind.REFUSED_RULE: About(
        Severity.ERROR, "Rules that are refused", "Correct each rule, or retire it."
    ),
    FindingKind.CONTRADICTION: About(
        Severity.ERROR,
        "Contradictions between facts and rules",
        "One of the entries named is wrong: correct or retire it.",
    ),
    FindingKind.UNCHECKED: About(
        Severity.ERROR,
        "Contradictions that could not be looked for",
        "Correct the refused rules, or make the integrity rules smaller, and check again.",
    ),
    FindingKind.LOST_REDIRECT: About(
        Severity.ERROR,
        "Merged into an entry that the release does not hold",
        "Revert the merge, or accept the entry that it names.",
    ),
    FindingKind.DUPLICATE_FACT: About(
        Severity.WARNING, "Facts that say the same", "Keep one; merge the others into it."
    ),
    FindingKind.NEAR_DUPLICATE: About(
        Severity.WARNING,
        "Notes whose questions are nearly the same",
        "Merge them, or make clear in their questions how they differ.",
    ),
    FindingKind.LEAK: About(
        Severity.WARNING,
        "Notes that repeat their own question's numbers or names",
        "Say it in general terms: such a note misleads on the next question.",
    ),
    FindingKind.HARMFUL: About(
        Severity.WARNING,
        f"Entries after which answers were wrong more often than right, "
        f"in at least {HARMFUL_AFTER} answers",
        "Read each one; correct or retire it.",
    ),
    FindingKind.ORPHAN: About(
        Severity.WARNING,
        "Rules and facts that no question of the release leads to",
        "Look for a misspelt name; add a note or concepts that lead there; or retire them.",
    ),
    FindingKind.NEVER_USED: About(
        Severity.NOTICE,
        "Entries never retrieved, though others were",
        "Nothing needs to be done; to shrink the release, begin here.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, and the entries it is about."""

    kind: FindingKind
    entry_ids: tuple[str, ...]
    detail: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return ABOUT[self.kind].severity


Open = Callable[[], AsyncIterator[tuple[Entry, Vector]]]
"""Begins to read a release: its entries by id, and their vectors."""


async def check_release(
    read: Open,
    *,
    count_uses: Callable[[Sequence[str]], Awaitable[Mapping[str, Uses]]] | None = None,
    redirects: Iterable[Revision] = (),
    similarity: float = SIMILARITY,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Finding]:
    """Looks for everything of FindingKind.

    Holds the ids, the notes' vectors, and the rules and facts.

    Args:
        read: begins to read the release; called a second time if it has rules or facts.
        count_uses: gives the use counts of these entries; None when they are not known.
        redirects: revisions that were merged into another entry.
        similarity: least cosine similarity of near-duplicates.
        on_progress: called with the number of entries just read, each time it is read.

    Returns:
        The findings by kind, in the order of FindingKind.
    """
    ids: list[str] = []
    note_ids: list[str] = []
    vectors: list[Vector] = []
    graph: list[Entry] = []
    leaking: list[Finding] = []
    async for entry, vector in read():
        ids.append(entry.id)
        if isinstance(entry.body, Note):
            note_ids.append(entry.id)
            vectors.append(vector)
            leaking += _leak(entry)
        else:
            graph.append(entry)
        on_progress(1)
    findings = [
        *_rules_and_facts(graph),
        *_lost(redirects, set(ids)),
        *_near(note_ids, vectors, similarity),
        *leaking,
        *_used(ids, await count_uses(ids) if count_uses else {}),
    ]
    refused = {one.entry_ids for one in findings if one.kind is FindingKind.REFUSED_RULE}
    if graph := [entry for entry in graph if (entry.id,) not in refused]:
        orphans = Orphans(graph)
        async for entry, _ in read():
            orphans.touch(entry)
            on_progress(1)
        findings += _orphans(orphans, graph)
    order = list(FindingKind)
    return sorted(findings, key=lambda finding: order.index(finding.kind))


def _leak(entry: Entry) -> Iterator[Finding]:
    if found := leaks(entry):
        yield Finding(FindingKind.LEAK, (entry.id,), ", ".join(found))


def _rules_and_facts(graph: list[Entry]) -> Iterator[Finding]:
    facts = [entry for entry in graph if isinstance(entry.body, Fact)]
    rules: dict[str, Clause] = {}
    for entry in graph:
        if isinstance(entry.body, Rule):
            try:
                rules[entry.id] = parse_rule(entry.body.text)
            except RuleError as error:
                yield Finding(FindingKind.REFUSED_RULE, (entry.id,), str(error))
    relations = {entry.body.relation for entry in facts if isinstance(entry.body, Fact)}
    for problem in check_rules(rules, relations):
        yield Finding(FindingKind.REFUSED_RULE, (problem.rule_id,), problem.reason)
    result = contradictions(rules, facts)
    for one in result.found:
        yield Finding(FindingKind.CONTRADICTION, one.entry_ids, one.text)
    if result.unknown:
        yield Finding(FindingKind.UNCHECKED, (), result.unknown)
    yield from _duplicate_facts(facts)


def _duplicate_facts(facts: Iterable[Entry]) -> Iterator[Finding]:
    alike: dict[tuple[str, ...], list[Entry]] = {}
    for entry in facts:
        if isinstance(entry.body, Fact):
            names = (entry.body.subject, entry.body.relation, entry.body.object)
            alike.setdefault(tuple(map(concept_key, names)), []).append(entry)
    for group in alike.values():
        if len(group) > 1:
            same = tuple(entry.id for entry in group)
            yield Finding(FindingKind.DUPLICATE_FACT, same, group[0].text)


def _lost(redirects: Iterable[Revision], ids: set[str]) -> Iterator[Finding]:
    """Merges that the release has taken over without the entry they lead to."""
    targets = {one.entry.id: one.redirect_to for one in redirects if one.redirect_to}
    for entry_id, target in targets.items():
        last, seen = target, {entry_id}
        while last not in ids and last in targets and last not in seen:
            seen.add(last)
            last = targets[last]
        if entry_id not in ids and last not in ids:
            yield Finding(FindingKind.LOST_REDIRECT, (entry_id,), f"merged into {target}")


def _near(ids: list[str], vectors: list[Vector], similarity: float) -> Iterator[Finding]:
    if not ids:
        return
    for pair in near_duplicates(ids, np.stack(vectors), threshold=similarity):
        both = (pair.first, pair.second)
        yield Finding(FindingKind.NEAR_DUPLICATE, both, f"similarity {pair.similarity:.3f}")


def _used(ids: Iterable[str], uses: Mapping[str, Uses]) -> Iterator[Finding]:
    for entry_id in ids:
        use = uses.get(entry_id, Uses())
        if use.wrong > use.right and use.right + use.wrong >= HARMFUL_AFTER:
            detail = f"right {use.right} times, wrong {use.wrong} times"
            yield Finding(FindingKind.HARMFUL, (entry_id,), detail)
    if any(use.retrieved for use in uses.values()):
        never = tuple(entry_id for entry_id in ids if not uses.get(entry_id, Uses()).retrieved)
        if never:
            yield Finding(FindingKind.NEVER_USED, never, "never retrieved")


def _orphans(orphans: Orphans, graph: Iterable[Entry]) -> Iterator[Finding]:
    texts = {entry.id: entry.text for entry in graph}
    for entry_id in orphans.found():
        yield Finding(FindingKind.ORPHAN, (entry_id,), texts[entry_id])
