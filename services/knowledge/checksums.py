"""What makes two entries, or two releases, the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from services.common.records import Entry


def entry_checksum(entry: Entry) -> str:
    """Sha256 over every field of the entry, its id and revision included."""
    fields = (
        entry.id,
        entry.revision,
        entry.kind.value,
        entry.task,
        entry.question,
        entry.body.learning_summary,
        entry.body.supplementary_knowledge,
        entry.source,
        entry.provenance,
    )
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def release_checksum(entries: Iterable[Entry]) -> str:
    """Sha256 over the entries' checksums in their order; how a file spells them is no matter."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(bytes.fromhex(entry_checksum(entry)))
    return digest.hexdigest()
