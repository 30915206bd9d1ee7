"""What makes two entries, two revisions or two releases the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from services.common.records import Entry, Fact, Note, Revision, Rule


def entry_checksum(entry: Entry) -> str:
    """Sha256 over every field of the entry, its id and revision included."""
    fields: tuple[object, ...] = (
        entry.id,
        entry.revision,
        entry.kind.value,
        entry.task,
        entry.question,
        *_body_fields(entry.body),
        entry.source,
        entry.provenance,
    )
    if entry.concepts:
        fields += (entry.concepts,)
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def _body_fields(body: Note | Rule | Fact) -> tuple[object, ...]:
    if isinstance(body, Note):
        return body.learning_summary, body.supplementary_knowledge
    if isinstance(body, Rule):
        return body.text, body.confidence
    return body.subject, body.relation, body.object


def release_checksum(entries: Iterable[Entry]) -> str:
    """Sha256 over the entries' checksums in their order; how a file spells them is no matter."""
    return combined_checksum(map(entry_checksum, entries))


def combined_checksum(entry_checksums: Iterable[str]) -> str:
    """The release's checksum from those of its entries, by id in code point order."""
    digest = hashlib.sha256()
    for checksum in entry_checksums:
        digest.update(bytes.fromhex(checksum))
    return digest.hexdigest()


def etag(revision: Revision) -> str:
    """Names one state of an entry: changes with every revision."""
    return f"{revision.entry.revision}-{entry_checksum(revision.entry)[:16]}"
