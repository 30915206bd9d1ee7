"""Notes that are the same knowledge twice.

Retrieval is question-to-question, so that two notes which say the same stay two entries as long
as their questions differ: each is the way to that knowledge from another side, and merging them
would close one. A note is merged into another one only if both what they say and the questions
they were made for are nearly the same, within one task. Then nothing becomes harder to find.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.common.records import Entry, EntryKind
from services.knowledge.duplicates import near_duplicates
from services.knowledge.protocol import Embedder
from training.distilling.entries import Rejection, Sorted

_MOST_PAIRS = 64
"""Looked at per note at a time, the likest first."""

_ROUNDING = 1e-5
"""Equal texts have a cosine of not quite 1."""


def merge_notes(found: Sorted, embedder: Embedder, *, similarity: float) -> None:
    """Rejects each note that an earlier one by id makes superfluous.

    Args:
        found: sorted by id; changed in place.
        embedder: compares what notes say, and their questions.
        similarity: least cosine of either, above 0, at most 1.
    """
    least = similarity - _ROUNDING
    by_task: dict[str, list[Entry]] = {}
    for entry in found.entries:
        if entry.kind is EntryKind.NOTE:
            by_task.setdefault(entry.task, []).append(entry)
    merged: dict[str, str] = {}
    for notes in by_task.values():
        merged |= _merged(notes, embedder, least)
    for entry in found.entries:
        if entry.id in merged:
            reason = f"it says the same as {merged[entry.id]}, of nearly the same question"
            found.reject(entry, Rejection.DUPLICATE, reason)
    found.entries = [entry for entry in found.entries if entry.id not in merged]


def _merged(notes: Sequence[Entry], embedder: Embedder, least: float) -> dict[str, str]:
    """Of notes by id: each that goes, and the one that stays for it."""
    ids = [note.id for note in notes]
    said = dict(zip(ids, embedder.embed([note.text for note in notes]), strict=True))
    asked = dict(zip(ids, embedder.embed([note.question for note in notes]), strict=True))
    merged: dict[str, str] = {}
    while True:
        left = [one for one in ids if one not in merged]
        found: dict[str, str] = {}
        vectors = np.array([said[one] for one in left])
        pairs = near_duplicates(left, vectors, threshold=least, k=_MOST_PAIRS)
        # By id, so that who stays is decided before those that may go for it.
        for pair in sorted(pairs, key=lambda one: (one.first, one.second)):
            stays = found.get(pair.first, pair.first)
            alike = min(of[stays] @ of[pair.second] for of in (said, asked))
            if alike >= least:
                found.setdefault(pair.second, stays)
        if not found:
            return merged
        merged |= found
