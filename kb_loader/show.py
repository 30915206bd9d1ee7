"""How the commands print counts, differences and findings, for people."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import typer

from kb_loader.check import ABOUT, Finding, FindingKind, Severity
from services.common.records import EntryKind
from services.knowledge.diff import EntryDiff, FieldChange

SHOWN = 20
"""Findings of one kind, and ids of one finding, that are printed; JSON has them all."""

_WIDTH = 100
_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def plural(count: int, one: str, many: str = "") -> str:
    """A number and its noun: "1 entry", "2 entries"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def entries_text(count: int) -> str:
    """How many entries."""
    return plural(count, "entry", "entries")


def kinds_text(counts: Mapping[EntryKind, int]) -> str:
    """How many entries of each kind: "134 notes, 1 rule"."""
    return ", ".join(plural(count, kind.value) for kind, count in counts.items())


def changes_text(counts: Mapping[str, int]) -> str:
    """How many entries were added, removed and changed."""
    return ", ".join(f"{count} {change}" for change, count in counts.items())


def counted(counts: Mapping[str, int], *, unnamed: str = "(none)") -> Iterator[str]:
    """One indented line per value."""
    return (f"  {name or unnamed}: {count}" for name, count in counts.items())


class Differences:
    """Prints differences as they come, and their counts at the end; JSON at the end.

    Args:
        old: what is compared, as the user named it.
        new: with what.
        summary: only the counts.
        as_json: for programs.
    """

    def __init__(self, old: str, new: str, *, summary: bool, as_json: bool) -> None:
        self._names = {"old": old, "new": new}
        self._summary = summary
        self._as_json = as_json
        self._counts = {"added": 0, "removed": 0, "changed": 0}
        self._entries: list[dict[str, object]] = []

    def add(self, one: EntryDiff) -> None:
        """Takes a difference."""
        self._counts[one.change] += 1
        if self._summary:
            return
        if self._as_json:
            fields = [asdict(change) for change in one.changes]
            self._entries.append({"id": one.entry_id, "change": one.change, "fields": fields})
            return
        for line in difference_lines(one):
            typer.echo(line)

    def finish(self) -> None:
        """Prints the counts."""
        if self._as_json:
            listed = {} if self._summary else {"entries": self._entries}
            typer.echo(_json({**self._names, **self._counts, **listed}))
        else:
            typer.echo(changes_text(self._counts))


def difference_lines(one: EntryDiff) -> Iterator[str]:
    """An entry's difference: a headline; of a changed one each field, old and new."""
    entry = one.new or one.old
    assert entry is not None  # noqa: S101 - a difference has at least one of the two
    headline = f"{_MARKS[one.change]} {entry.kind.value} {one.entry_id}"
    if one.change != "changed":
        yield f"{headline}: {_shortened(entry.searched_text)}"
        return
    yield headline
    if one.old and one.new and not one.changes:
        yield f"    revision: {one.old.revision} -> {one.new.revision}"
    for change in one.changes:
        yield from _field_lines(change)


def _field_lines(change: FieldChange) -> Iterator[str]:
    yield f"    {change.field}:"
    old, new = change.old.splitlines(), change.new.splitlines()
    yield from (f"      - {line}" for line in old if line not in new)
    yield from (f"      + {line}" for line in new if line not in old)
    if sorted(old) == sorted(new):
        yield "      (the same lines in another order)"


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings by kind, each kind with what to do."""
    for kind in FindingKind:
        of_kind = [finding for finding in findings if finding.kind is kind]
        if not of_kind:
            continue
        about = ABOUT[kind]
        yield f"{about.severity.value}: {about.title}: {len(of_kind)}"
        for finding in of_kind[:SHOWN]:
            whose = f"{ids_text(finding.entry_ids)}: " if finding.entry_ids else ""
            yield f"  {whose}{finding.detail}"
        if len(of_kind) > SHOWN:
            yield f"  ... and {len(of_kind) - SHOWN} more; --json lists them all"
        yield from textwrap.wrap(
            about.advice, _WIDTH, initial_indent="  -> ", subsequent_indent="     "
        )
        yield ""


def verdict(findings: Sequence[Finding]) -> str:
    """How many errors and warnings."""
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in findings)
    return f"{plural(errors, 'error')}, {plural(warnings, 'warning')}"


def ids_text(entry_ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    shown = ", ".join(entry_ids[:SHOWN])
    more = len(entry_ids) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _shortened(text: str) -> str:
    return textwrap.shorten(text, _WIDTH, placeholder=" ...")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
