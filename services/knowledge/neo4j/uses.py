"""Use counts: gathered in memory, added to the graph now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal

import structlog

from services.common.errors import NesycdError
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Connection, Transaction
from services.knowledge.protocol import Uses

FLUSH_S = 0.5
"""How long a count waits in memory."""

Kind = Literal["retrieved", "right", "wrong"]

_log = structlog.get_logger()


class UseCounts:
    """Counts of one process that are not in the graph yet.

    A count may be added twice when the connection breaks just after the server took it.

    Args:
        writable: gives the connection, ready for writing.
    """

    def __init__(self, writable: Callable[[], Awaitable[Connection]]) -> None:
        self._writable = writable
        self._unwritten: Counter[tuple[str, Kind]] = Counter()
        self._writing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    def add(self, entry_ids: Iterable[str], kind: Kind) -> None:
        """Counts one of each; they are written within half a second."""
        self._unwritten.update((entry_id, kind) for entry_id in entry_ids)
        if self._unwritten and self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())

    async def write(self) -> None:
        """Adds what waits to the graph; on an error it waits on."""
        async with self._writing:
            counts, self._unwritten = self._unwritten, Counter()
            if not counts:
                return
            ids = sorted({entry_id for entry_id, _ in counts})
            uses = [
                {"entry_id": entry_id}
                | {kind: counts[entry_id, kind] for kind in ("retrieved", "right", "wrong")}
                for entry_id in ids
            ]

            async def add(transaction: Transaction) -> None:
                await transaction.run(queries.ADD_USES, uses=uses)

            try:
                await (await self._writable()).write(add)
            except BaseException:
                self._unwritten.update(counts)
                raise

    async def read(self, entry_ids: Sequence[str]) -> dict[str, Uses]:
        """The counts of these entries, those that waited included."""
        await self.write()
        uses = dict.fromkeys(entry_ids, Uses())
        connection = await self._writable()
        for row in await connection.read(queries.USES, ids=sorted(uses)):
            uses[row["id"]] = Uses(row["retrieved"], row["right"], row["wrong"])
        return uses

    async def close(self) -> None:
        """Writes what is left; what cannot be written is lost, and the log says so."""
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait([self._flusher])
        try:
            await self.write()
        except NesycdError as error:
            _log.warning("knowledge_uses_lost", uses=self._unwritten.total(), error=error.message)
            self._unwritten.clear()

    async def _flush(self) -> None:
        failure = ""
        while self._unwritten:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.write()
            except NesycdError as error:
                # Said once, not twice a second.
                if error.message != failure:
                    failure = error.message
                    _log.warning("knowledge_uses_not_written", error=failure)
        self._flusher = None
