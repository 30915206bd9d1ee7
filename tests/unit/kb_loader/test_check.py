from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from kb_loader.check import ABOUT, Finding, FindingKind, Severity, check_release
from services.common.records import (
    Action,
    Authorship,
    Entry,
    EntryStatus,
    Revision,
)
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import Uses, Vector
from tests.unit.kb_loader.entries import fact_entry, note_entry, rule_entry


def reading(entries: Sequence[Entry]) -> Callable[[], AsyncIterator[tuple[Entry, Vector]]]:
    vectors = HashEmbedder().embed([entry.searched_text for entry in entries])

    async def read() -> AsyncIterator[tuple[Entry, Vector]]:
        for entry, vector in zip(entries, vectors, strict=True):
            yield entry, vector

    return read


async def check(
    *entries: Entry, uses: dict[str, Uses] | None = None, redirects: Sequence[Revision] = ()
) -> list[Finding]:
    async def count(_: Sequence[str]) -> dict[str, Uses]:
        return uses or {}

    ordered = sorted(entries, key=lambda entry: entry.id)
    return await check_release(reading(ordered), count_uses=count, redirects=redirects)


def merged(entry: Entry, into: str) -> Revision:
    author = Authorship("me")
    return Revision(entry, EntryStatus.RETIRED, Action.MERGED, author, 0.0, redirect_to=into)


GOOD = (
    note_entry("n1", "What is the capital of France?", "Look at the map."),
    note_entry("n2", "Who was born in Rome?", "Look at the register."),
    fact_entry("f1", "Paris", "capital_of", "France"),
    fact_entry("f2", "Ann", "born_in", "Rome"),
    rule_entry("r1", "conflict_born(X, A, B) :- born_in(X, A), born_in(X, B), A != B."),
)


async def test_a_good_release_has_no_findings() -> None:
    assert await check(*GOOD) == []


async def test_an_empty_release_has_no_findings() -> None:
    assert await check() == []


WRONG = [
    (FindingKind.CONTRADICTION, [fact_entry("f3", "Ann", "born_in", "Oslo")], ("f2", "f3", "r1")),
    (FindingKind.DUPLICATE_FACT, [fact_entry("f3", "paris", "capital_of", "FRANCE")], ("f1", "f3")),
    (FindingKind.REFUSED_RULE, [rule_entry("r2", "rome(X) :- near(X, Rome).")], ("r2",)),
    (FindingKind.LEAK, [note_entry("n3", "Is Ann 41?", "Ann is 41.")], ("n3",)),
    (
        FindingKind.NEAR_DUPLICATE,
        [note_entry("n3", "What is the capital of France then?")],
        ("n1", "n3"),
    ),
    (FindingKind.ORPHAN, [fact_entry("f3", "Prais", "lies_on", "Siene")], ("f3",)),
]


@pytest.mark.parametrize(("kind", "added", "entry_ids"), WRONG)
async def test_what_is_wrong_is_found_and_its_entries_named(
    kind: FindingKind, added: list[Entry], entry_ids: tuple[str, ...]
) -> None:
    found = await check(*GOOD, *added)
    assert [finding.kind for finding in found] == [kind]
    assert tuple(sorted(found[0].entry_ids)) == entry_ids
    assert found[0].detail


async def test_a_rule_that_cannot_even_be_read_is_refused() -> None:
    found = await check(*GOOD, rule_entry("r2", "no rule"))
    assert [(one.kind, one.entry_ids) for one in found] == [(FindingKind.REFUSED_RULE, ("r2",))]


async def test_integrity_rules_that_cannot_be_evaluated_are_said() -> None:
    found = await check(*GOOD, rule_entry("r2", "conflict(X, Y) :- born_in(X, Rome)."))
    assert [one.kind for one in found] == [
        FindingKind.REFUSED_RULE,
        FindingKind.UNCHECKED,
    ]


async def test_entries_after_which_answers_were_mostly_wrong_are_harmful() -> None:
    uses = {
        "n1": Uses(retrieved=9, right=2, wrong=3),
        "n2": Uses(retrieved=9, right=0, wrong=4),
        "f1": Uses(retrieved=9, right=3, wrong=3),
        "f2": Uses(retrieved=1),
        "r1": Uses(retrieved=1),
    }
    found = await check(*GOOD, uses=uses)
    assert found == [Finding(FindingKind.HARMFUL, ("n1",), "right 2 times, wrong 3 times")]


async def test_entries_never_used_are_told_once_others_were() -> None:
    assert await check(*GOOD, uses={"n1": Uses()}) == []
    (found,) = await check(*GOOD, uses={"n1": Uses(retrieved=1)})
    assert (found.kind, found.entry_ids) == (FindingKind.NEVER_USED, ("f1", "f2", "n2", "r1"))
    assert found.severity is Severity.NOTICE


async def test_a_merge_into_an_entry_that_is_not_there_is_found() -> None:
    gone = note_entry("n0", "gone")
    also = note_entry("m0", "gone too")
    assert await check(*GOOD, redirects=[merged(gone, "n1")]) == []
    assert await check(*GOOD, redirects=[merged(gone, "m0"), merged(also, "n1")]) == []
    assert await check(*GOOD, redirects=[merged(GOOD[0], "n9")]) == []
    found = await check(*GOOD, redirects=[merged(gone, "n9")])
    assert found == [Finding(FindingKind.LOST_REDIRECT, ("n0",), "merged into n9")]
    circle = [merged(gone, "m0"), merged(also, "n0")]
    assert [one.kind for one in await check(*GOOD, redirects=circle)] == [
        FindingKind.LOST_REDIRECT,
        FindingKind.LOST_REDIRECT,
    ]


async def test_findings_come_by_kind_the_worst_first() -> None:
    added = [entry for _, entries, _ in WRONG for entry in entries]
    renamed = [
        Entry(f"{entry.id}{place}", 1, "", entry.question, entry.body, "", "test")
        for place, entry in enumerate(added)
    ]
    kinds = [finding.kind for finding in await check(*GOOD, *renamed)]
    assert kinds == sorted(kinds, key=list(FindingKind).index)
    assert set(kinds) == {kind for kind, _, _ in WRONG}


def test_every_kind_says_what_it_is_and_what_to_do() -> None:
    assert set(ABOUT) == set(FindingKind)
    severities = [ABOUT[kind].severity for kind in FindingKind]
    assert severities == sorted(severities, key=list(Severity).index)
