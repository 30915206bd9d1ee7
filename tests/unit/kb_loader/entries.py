"""Entries for tests, in few words."""

from __future__ import annotations

from services.common.records import Entry, Fact, Note, Rule


def note_entry(entry_id: str, question: str, *lines: str, concepts: tuple[str, ...] = ()) -> Entry:
    """A note that says these lines."""
    return Entry(entry_id, 1, "", question, Note((), lines or ("Think.",)), "", "test", concepts)


def rule_entry(entry_id: str, text: str) -> Entry:
    """A rule without a question."""
    return Entry(entry_id, 1, "", "", Rule(text), "", "test")


def fact_entry(entry_id: str, subject: str, relation: str, target: str) -> Entry:
    """A fact without a question."""
    return Entry(entry_id, 1, "", "", Fact(subject, relation, target), "", "test")
