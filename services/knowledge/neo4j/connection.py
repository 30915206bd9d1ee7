"""Speaking to the server: one driver, bounded waits, and one kind of error."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import neo4j
from neo4j.exceptions import ConfigurationError as DriverConfigurationError
from neo4j.exceptions import DriverError, Neo4jError

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.settings import KnowledgeSettings
from services.knowledge.protocol import PoolUse

FLOOR = (5, 26)
"""Oldest server that is spoken to."""

BULK_TIMEOUT_S = 600.0
"""Longest transaction of a load: servers that are busy, not waits that people see."""

_IDLE_CHECK_S = 30.0
_ALREADY_EXISTS = "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
_PAUSES_S = (0.1, 0.3, 1.0, 3.0)
_REFUSED = ("Neo.ClientError.Security.", "Neo.ClientError.Database.DatabaseNotFound")

# Each failure is raised, and becomes one line where it is handled.
logging.getLogger("neo4j").setLevel(logging.CRITICAL)

Transaction = neo4j.AsyncManagedTransaction

_Result = TypeVar("_Result")


class Connection:
    """A driver, made at the first use in the loop that runs then, for that loop alone.

    Safe to cancel: a cancelled call is left to end by itself, within its limit, and its
    connection is used again. (The driver would close it, and a slow server would have to open
    new ones as well.) What one call wrote, the next reads, also where a cluster routes
    (bookmarks).

    Args:
        uri: of the server, `bolt` or `neo4j` with their variants.
        user: at the server.
        password: empty: the server asks for none.
        database: empty: the user's home database.
        connections: most at a time.
        timeout_s: longest wait for a connection, and for an answer.
    """

    def __init__(
        self,
        uri: str,
        *,
        user: str,
        password: str,
        database: str,
        connections: int,
        timeout_s: float,
    ) -> None:
        self._uri = uri
        self._auth = (user, password) if password else None
        self._database = database or None
        self._connections = connections
        self._timeout_s = timeout_s
        self._driver: neo4j.AsyncDriver | None = None
        self._bookmarks = neo4j.AsyncGraphDatabase.bookmark_manager()
        self._running: set[asyncio.Task[Any]] = set()
        self._is_checked = False
        self.is_closed = False

    @classmethod
    def from_settings(cls, settings: KnowledgeSettings) -> Connection:
        """To the server that the settings name; it is not called yet."""
        return cls(
            settings.neo4j_uri,
            user=settings.neo4j_user,
            password=settings.neo4j_password.get_secret_value(),
            database=settings.neo4j_database,
            connections=settings.neo4j_connections,
            timeout_s=settings.neo4j_timeout_s,
        )

    async def read(self, query: str, **parameters: Any) -> list[neo4j.Record]:
        """Reads in one round trip; once more at once if the connection turns out dead.

        Raises:
            KnowledgeUnavailableError: no answer in time, or the server is down or refuses.
            ConfigurationError: it refuses the credentials, or is too old.
        """
        timed = neo4j.Query(query, timeout=self._timeout_s)
        call = self._tried(neo4j.READ_ACCESS, timed, parameters, pauses_s=(0,))
        return await self._bounded(call, self._timeout_s)

    async def write(
        self,
        work: Callable[[Transaction], Awaitable[_Result]],
        *,
        timeout_s: float | None = None,
    ) -> _Result:
        """Runs `work` in a write transaction; on a fault that passes, again.

        `work` may therefore run, and even be committed, twice: it has to find that out.

        Args:
            work: reads and writes; what it raises undoes the transaction and passes on.
            timeout_s: longest wait for all of it; the editors' one if None.
        """
        limit = timeout_s or self._timeout_s

        async def write() -> _Result:
            async with await self._session(neo4j.WRITE_ACCESS) as session:
                return await session.execute_write(neo4j.unit_of_work(timeout=limit)(work))

        return await self._bounded(write(), limit)

    async def run(self, query: str, **parameters: Any) -> list[neo4j.Record]:
        """Runs what needs a transaction of its own: schema, and removals in many steps.

        On a fault that passes, again: it has to do nothing where it is done.
        """
        call = self._tried(neo4j.WRITE_ACCESS, query, parameters, pauses_s=_PAUSES_S)
        return await self._bounded(call, BULK_TIMEOUT_S)

    async def close(self) -> None:
        """Closes the driver; every later call is refused. Safe to call twice."""
        self.is_closed = True
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._timeout_s)
            for call in late:
                call.cancel()
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()

    @property
    def pool_use(self) -> PoolUse:
        """The connections there are now, to all servers of a cluster."""
        if self._driver is None:
            return PoolUse(0, 0)
        # The driver tells nobody of its pool.
        pools = self._driver._pool.connections.values()  # noqa: SLF001
        in_use = [connection.in_use for pool in pools for connection in pool]
        return PoolUse(sum(in_use), len(in_use) - sum(in_use))

    def check_open(self) -> None:
        """Refuses a call after `close`."""
        if self.is_closed:
            raise KnowledgeUnavailableError(f"knowledge base {self._uri}: it is closed.")

    def unavailable(self, reason: str) -> KnowledgeUnavailableError:
        """The error that says so of this server."""
        return KnowledgeUnavailableError(f"knowledge base {self._uri}: {reason}")

    async def _session(self, access: str) -> neo4j.AsyncSession:
        self.check_open()
        if self._driver is None:
            self._driver = neo4j.AsyncGraphDatabase.driver(
                self._uri,
                auth=self._auth,
                max_connection_pool_size=self._connections,
                connection_acquisition_timeout=self._timeout_s,
                connection_timeout=0.9 * self._timeout_s,
                max_transaction_retry_time=self._timeout_s,
                liveness_check_timeout=_IDLE_CHECK_S,
                notifications_min_severity="OFF",
                telemetry_disabled=True,
            )
        if not self._is_checked:
            _check_version((await self._driver.get_server_info()).agent)
            self._is_checked = True
        return self._driver.session(
            database=self._database,
            default_access_mode=access,
            bookmark_manager=self._bookmarks,
        )

    async def _tried(
        self,
        access: str,
        query: str | neo4j.Query,
        parameters: dict[str, Any],
        *,
        pauses_s: Iterable[float],
    ) -> list[neo4j.Record]:
        """Runs a query, again after each pause while faults pass."""
        for pause_s in pauses_s:
            try:
                return await self._once(access, query, parameters)
            except (DriverError, Neo4jError) as error:
                if not _passes(error):
                    raise
            await asyncio.sleep(pause_s)
        return await self._once(access, query, parameters)

    async def _once(
        self, access: str, query: str | neo4j.Query, parameters: dict[str, Any]
    ) -> list[neo4j.Record]:
        async with await self._session(access) as session:
            result = await session.run(query, parameters)
            return [record async for record in result]

    async def _bounded(self, call: Coroutine[Any, Any, _Result], limit_s: float) -> _Result:
        """Runs a call in a task of its own, so that cancelling the caller leaves it alone."""
        task = asyncio.create_task(self._reported(call, limit_s))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the caller may have gone

    async def _reported(self, call: Coroutine[Any, Any, _Result], limit_s: float) -> _Result:
        """Bounds the wait, and turns the driver's errors into ours."""
        try:
            async with asyncio.timeout(limit_s):
                return await call
        except TimeoutError as error:
            raise self.unavailable(f"no answer within {limit_s:g} s.") from error
        except Neo4jError as error:
            if (error.code or "").startswith(_REFUSED):
                raise ConfigurationError(f"knowledge base {self._uri}: {_line(error)}.") from error
            if "Bookmark" in (error.code or ""):
                # The server was set back to an older state: what was written then is gone.
                self._bookmarks = neo4j.AsyncGraphDatabase.bookmark_manager()
            raise self.unavailable(f"{_line(error)}.") from error
        except DriverConfigurationError as error:
            raise ConfigurationError(f"knowledge base {self._uri}: {_line(error)}.") from error
        except (DriverError, OSError) as error:
            raise self.unavailable(f"{_line(error)}.") from error


def _check_version(agent: str) -> None:
    """Refuses a server below the floor; `agent` is for instance "Neo4j/5.26.30"."""
    found = re.search(r"/(\d+)\.(\d+)", agent)
    if found and (int(found[1]), int(found[2])) < FLOOR:
        raise ConfigurationError(
            f"{agent} is too old: the knowledge base needs Neo4j {FLOOR[0]}.{FLOOR[1]} or newer."
        )


def _passes(error: DriverError | Neo4jError) -> bool:
    """Whether the same may succeed when it is tried again."""
    # Of two processes that migrate at once: IF NOT EXISTS looks before the other commits.
    met = isinstance(error, Neo4jError) and error.code == _ALREADY_EXISTS
    return met or error.is_retryable()


def _line(error: Exception) -> str:
    """The error in a short line, without what was asked."""
    message = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(message).strip().splitlines()[0][:200].rstrip(".")
