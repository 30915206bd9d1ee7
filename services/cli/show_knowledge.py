"""How the command line shows knowledge entries and releases to people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import singledispatch
from itertools import groupby

import typer
from google.protobuf.message import Message

from services.cli.show import labelled
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.service.wire import read_entry

_TEXT_CHARS = 60

# What would move the cursor, colour the terminal or show letters in another order than they are.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


@singledispatch
def reply(message: Message) -> None:
    """Prints a reply of KnowledgeService."""
    raise NotImplementedError(message.DESCRIPTOR.full_name)


@reply.register
def _(found: pb.FindEntriesResponse) -> None:
    _table(
        (
            one.entry.id,
            f"r{one.entry.revision}",
            one.entry.WhichOneof("body"),
            one.status,
            one.entry.task or "any task",
            _says(one.entry),
        )
        for one in found.entries
    )
    counts = [
        ", ".join(f"{one.entries} {one.value or 'any task'}" for one in facets)
        for _, facets in groupby(found.facets, key=lambda one: one.field)
    ]
    _say("; ".join([f"{len(found.entries)} of {found.total} entries", *counts]))
    if found.next_page_token:
        _say(f"next page: --page-token {found.next_page_token}")


@reply.register
def _(found: pb.SearchEntriesResponse) -> None:
    _table(
        (
            f"{one.score:.4f}",
            ", ".join(f"{leg} {rank}" for leg, rank in sorted(one.leg_ranks.items())),
            f"{one.entry.id} r{one.entry.revision}",
            one.entry.WhichOneof("body"),
            _says(one.entry),
        )
        for one in found.found
    )
    _say(
        f"{len(found.found)} entries of release {found.release}"
        if found.release
        else "no release is active"
    )


@reply.register
def _(got: pb.GetEntryResponse) -> None:
    revision = got.entry
    entry = revision.entry
    _labelled("entry", f"{entry.id}, {entry.WhichOneof('body')}, revision {entry.revision}")
    merged = f", merged into {revision.redirect_to}" if revision.redirect_to else ""
    _labelled("status", f"{revision.status}{merged}")
    _labelled("etag", revision.etag)
    _labelled("task", entry.task or "any")
    _labelled("question", entry.question)
    _labelled("says", read_entry(entry).text)
    if entry.HasField("rule"):
        _labelled("confidence", f"{entry.rule.confidence:g}")
    _labelled("concepts", ", ".join(entry.concepts))
    _labelled("source", entry.source)
    _labelled("provenance", entry.provenance)
    _labelled(revision.action, _who(revision))
    uses = revision.uses
    _labelled("uses", f"found {uses.retrieved} times, {uses.right} right, {uses.wrong} wrong")


@reply.register
def _(history: pb.GetEntryHistoryResponse) -> None:
    for step in history.steps:
        revision = step.revision
        merged = f" into {revision.redirect_to}" if revision.redirect_to else ""
        _say(
            f"r{revision.entry.revision}  {revision.action}{merged}, {revision.status}  "
            f"{_who(revision)}"
        )
        _changes(step.changes)


@reply.register
def _(found: pb.FindDuplicateEntriesResponse) -> None:
    for pair in found.pairs:
        _say(f"{pair.similarity:.3f}  {pair.id}  {pair.other_id}")
        _say(f"       {_cut(pair.text)}")
        _say(f"       {_cut(pair.other_text)}")
    _say(f"{len(found.pairs)} pairs in release {found.release or '(none is active)'}")


@reply.register(pb.CreateEntryResponse)
@reply.register(pb.UpdateEntryResponse)
@reply.register(pb.ReviewEntryResponse)
@reply.register(pb.RetireEntryResponse)
@reply.register(pb.RevertEntryResponse)
@reply.register(pb.MergeEntriesResponse)
def _(changed: pb.CreateEntryResponse) -> None:
    _changed(changed.entry)


@reply.register
def _(reverted: pb.RevertBatchResponse) -> None:
    for entry in reverted.entries:
        _changed(entry)


@reply.register
def _(_recorded: pb.RecordOutcomeResponse) -> None:
    _say("recorded")


@reply.register
def _(listed: pb.ListReleasesResponse) -> None:
    if not listed.releases:
        _say("no releases; load one with: nesycd kb load DIR")
    _table(
        (
            f"{'*' if one.active else ' '} {one.name}",
            f"{one.entries} entries",
            f"from {one.parent}" if one.parent else "loaded",
            one.provenance,
            one.embedding_model,
            one.checksum[:12],
        )
        for one in listed.releases
    )


@reply.register
def _(preview: pb.PreviewReleaseResponse) -> None:
    for one in preview.changes:
        _say(f"{one.change:<8} {one.id}")
        _changes(one.fields)
    for problem in preview.problems:
        _say(f"problem  {problem.id}: {problem.reason}")
    shown = len(preview.changes)
    count = f"{shown} of {preview.total}" if shown < preview.total else str(shown)
    _say(f"changes to release {preview.base}: {count}; entries then: {preview.entries}")


@reply.register(pb.CreateReleaseResponse)
@reply.register(pb.ActivateReleaseResponse)
@reply.register(pb.RollBackReleaseResponse)
def _(changed: pb.ActivateReleaseResponse) -> None:
    release = changed.release
    state = "active" if release.active else "not active"
    _say(f"release {release.name}: {release.entries} entries, {state}")


def _say(text: str) -> None:
    """Prints a text as it is, so that a reviewer sees what a student will read."""
    typer.echo(_plain(text))


def _labelled(label: str, text: str) -> None:
    labelled(label, _plain(text))


def _plain(text: str) -> str:
    return _HIDDEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _changed(revision: pb.EntryRevision) -> None:
    merged = f" into {revision.redirect_to}" if revision.redirect_to else ""
    _say(
        f"{revision.entry.id}: {revision.action}{merged}, now revision {revision.entry.revision}, "
        f"{revision.status}"
    )


def _who(revision: pb.EntryRevision) -> str:
    edit = revision.edit
    when = datetime.fromtimestamp(revision.time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    why = f": {edit.reason}" if edit.reason else ""
    batch = f" (batch {edit.batch})" if edit.batch else ""
    return f"{when} by {edit.actor}{why}{batch}"


def _changes(changes: Iterable[pb.FieldChange]) -> None:
    for change in changes:
        old, new = change.old.splitlines(), change.new.splitlines()
        for sign, lines, others in (("-", old, new), ("+", new, old)):
            for line in lines:
                if line not in others:
                    _say(f"    {sign} {change.field}: {line}")


def _says(entry: pb.Entry) -> str:
    return _cut(entry.question or read_entry(entry).text)


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _TEXT_CHARS else f"{flat[: _TEXT_CHARS - 3]}..."


def _table(rows: Iterable[Sequence[str | None]]) -> None:
    """Prints rows with their columns aligned."""
    lines = [[cell or "" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        _say("  ".join(padded).rstrip())
