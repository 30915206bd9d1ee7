"""Knowledge bases for tests of what stands above them: found, empty, slow, broken."""

from __future__ import annotations

import asyncio

from services.common.errors import KnowledgeUnavailableError
from services.common.records import Entry, Note, Retrieved
from services.knowledge.protocol import KnowledgeQuery, Lookup, Release

RELEASE = Release("r1", "c", 3, "hash", "h", 8, "test")


def retrieved(number: int) -> Retrieved:
    """A found note whose id, texts and score tell its number."""
    entry = Entry(
        id=f"note-{number}",
        revision=number,
        task="units",
        question=f"question {number}",
        body=Note((f"summary {number}",), (f"knowledge {number}",)),
        source=f"source-{number}",
        provenance="test",
    )
    return Retrieved(entry, 1 / number, {"lexical": number, "vector": number})


class FixedKnowledge:
    """Finds the first k of three notes, after a delay; or fails; remembers the queries."""

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        fails: bool = False,
        release: Release | None = RELEASE,
        found: int = 3,
    ) -> None:
        self.queries: list[KnowledgeQuery] = []
        self.cancelled = False
        self._delay_s = delay_s
        self._fails = fails
        self._release = release
        self._found = found

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        self.queries.append(query)
        try:
            await asyncio.sleep(self._delay_s)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self._fails:
            raise KnowledgeUnavailableError("the disk is gone")
        count = min(query.k, self._found) if self._release else 0
        return Lookup(self._release, tuple(retrieved(n) for n in range(1, count + 1)))

    async def active_release(self) -> Release | None:
        if self._fails:
            raise KnowledgeUnavailableError("the disk is gone")
        return self._release
