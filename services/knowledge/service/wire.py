"""Between the records of the knowledge base and the messages of knowledge.proto."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message

from services.common.records import Authorship, Body, Entry, Fact, Note, Retrieved, Revision, Rule
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.checksums import etag
from services.knowledge.diff import EntryDiff, FieldChange
from services.knowledge.protocol import Release, Uses

PAGE_BYTES = 2 << 20
"""A reply ends after the message that fills it; clients take 4 MiB unless told otherwise."""


def fitting(messages: Sequence[Message]) -> int:
    """How many of the messages one reply holds, at least one if there is one."""
    size = 0
    for place, message in enumerate(messages):
        size += message.ByteSize()
        if size > PAGE_BYTES:
            return max(place, 1)
    return len(messages)


def write_entry(entry: Entry) -> pb.Entry:
    """The message for an entry."""
    return pb.Entry(
        id=entry.id,
        revision=entry.revision,
        task=entry.task,
        question=entry.question,
        source=entry.source,
        provenance=entry.provenance,
        concepts=entry.concepts,
        **_write_body(entry.body),
    )


def _write_body(body: Body) -> dict[str, Any]:
    if isinstance(body, Note):
        note = pb.Note(
            learning_summary=body.learning_summary,
            supplementary_knowledge=body.supplementary_knowledge,
        )
        return {"note": note}
    if isinstance(body, Rule):
        return {"rule": pb.Rule(text=body.text, confidence=body.confidence)}
    return {"fact": pb.Fact(subject=body.subject, relation=body.relation, object=body.object)}


def read_entry(message: pb.Entry) -> Entry:
    """What `write_entry` wrote. Nothing is checked: `requests` does that."""
    return Entry(
        id=message.id,
        revision=message.revision,
        task=message.task,
        question=message.question,
        body=_read_body(message),
        source=message.source,
        provenance=message.provenance,
        concepts=tuple(message.concepts),
    )


def _read_body(message: pb.Entry) -> Body:
    if message.HasField("rule"):
        return Rule(message.rule.text, message.rule.confidence)
    if message.HasField("fact"):
        fact = message.fact
        return Fact(fact.subject, fact.relation, fact.object)
    note = message.note
    return Note(tuple(note.learning_summary), tuple(note.supplementary_knowledge))


def write_revision(revision: Revision, uses: Uses | None = None) -> pb.EntryRevision:
    """The message for a revision; `uses` are those of its entry."""
    return pb.EntryRevision(
        entry=write_entry(revision.entry),
        status=revision.status.value,
        action=revision.action.value,
        edit=_write_author(revision.author),
        time_s=revision.at,
        etag=etag(revision),
        redirect_to=revision.redirect_to,
        uses=_write_uses(uses) if uses else None,
    )


def _write_uses(uses: Uses) -> pb.UseCounts:
    return pb.UseCounts(retrieved=uses.retrieved, right=uses.right, wrong=uses.wrong)


def _write_author(author: Authorship) -> pb.Edit:
    return pb.Edit(actor=author.actor, reason=author.reason, batch=author.batch)


def write_found(found: Retrieved) -> pb.FoundEntry:
    """The message for an entry that retrieval found."""
    return pb.FoundEntry(
        entry=write_entry(found.entry), score=found.score, leg_ranks=found.leg_ranks
    )


def write_changes(changes: Iterable[FieldChange]) -> list[pb.FieldChange]:
    """The messages for fields that differ."""
    return [pb.FieldChange(field=one.field, old=one.old, new=one.new) for one in changes]


def write_diff(diff: EntryDiff) -> pb.ReleaseChange:
    """The message for an entry that two releases do not have alike."""
    return pb.ReleaseChange(
        id=diff.entry_id, change=diff.change, fields=write_changes(diff.changes)
    )


def write_release(release: Release, *, active: bool) -> pb.Release:
    """The message for a release."""
    return pb.Release(
        name=release.name,
        checksum=release.checksum,
        entries=release.entries,
        embedding_model=release.embedding_model,
        embedding_checksum=release.embedding_checksum,
        dimension=release.dimension,
        provenance=release.provenance,
        parent=release.parent,
        active=active,
    )
