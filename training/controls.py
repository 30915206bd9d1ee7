"""Knowledge that is wrong, or right, on purpose: what tells apart why knowledge does not help.

Under `ShuffledKnowledge` a student reads as much as ever, but nothing about the question: a gain
that stays is no gain of the knowledge. Under `GoldHint` it reads the answer itself: a student
that fails then cannot use knowledge at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.common.records import Entry, EntryKind, Note, Retrieved
from services.knowledge.protocol import Knowledge, KnowledgeQuery, Lookup, Release
from training.rows import Question

_CONTROL = "control"
GOLD_HINT = Release("gold-hint", "", 1, "", "", 2, _CONTROL)


class ShuffledKnowledge:
    """As many entries as are found, but others, drawn by the question's checksum.

    Args:
        real: what searches.
        entries: all of its entries.
    """

    def __init__(self, real: Knowledge, entries: Sequence[Entry]) -> None:
        self._real = real
        self._notes = sorted(
            (entry for entry in entries if entry.kind is EntryKind.NOTE), key=lambda one: one.id
        )

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        """Finds other entries than the best; none where there are no others."""
        real = await self._real.lookup(query)
        right = {one.entry.text for one in real.found}
        others = [
            entry
            for entry in self._notes
            if entry.text not in right
            and (not query.exclude_source or entry.source != query.exclude_source)
        ]
        found = []
        for rank, one in enumerate(real.found, 1):
            if not others:
                break
            digest = hashlib.sha256(f"{query.question} {rank}".encode()).digest()
            drawn = others.pop(int.from_bytes(digest[:8], "big") % len(others))
            found.append(Retrieved(drawn, one.score, {_CONTROL: rank}))
        return Lookup(real.release, tuple(found))

    async def active_release(self) -> Release | None:
        """That of the real knowledge."""
        return await self._real.active_release()


class GoldHint:
    """One note that says the gold answer of the one question it is made for."""

    def __init__(self, question: Question) -> None:
        note = Note((), (f"The answer to this question is {question.gold}.",))
        self._hint = Entry(
            GOLD_HINT.name, 1, question.task, question.text, note, question.key, _CONTROL
        )

    async def lookup(self, query: KnowledgeQuery) -> Lookup:  # noqa: ARG002 - one for any query
        """Finds the hint."""
        return Lookup(GOLD_HINT, (Retrieved(self._hint, 1.0, {_CONTROL: 1}),))

    async def active_release(self) -> Release | None:
        """A release that holds nothing else."""
        return GOLD_HINT


class NoKnowledge:
    """Of a system that never looks anything up."""

    async def lookup(self, query: KnowledgeQuery) -> Lookup:  # noqa: ARG002 - nothing for any query
        """Finds nothing."""
        return Lookup(None)

    async def active_release(self) -> Release | None:
        """None."""
        return None
