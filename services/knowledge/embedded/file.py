"""The embedded store's file, worked on in threads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from services.common.errors import KnowledgeUnavailableError
from services.knowledge.embedded.schema import connect

_Result = TypeVar("_Result")


class StoreFile:
    """Opens the file for each piece of work, and reports what SQLite says as our errors.

    Attributes:
        path: of the file, which was prepared.
        closed: once set, nothing begins any more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = threading.Event()

    async def call(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Does the work on a connection of its own, in a thread."""
        return await self.in_thread(lambda: self.read(work))

    async def in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Does the work in a thread. Raises: KnowledgeUnavailableError when closed."""
        self.check_open()
        return await asyncio.to_thread(work)

    def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Does the work on a connection of its own, in this thread."""
        with self.reported(), closing(connect(self.path)) as db:
            return work(db)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Turns errors of SQLite into KnowledgeUnavailableError."""
        try:
            yield
        except sqlite3.Error as error:
            raise KnowledgeUnavailableError(f"knowledge base {self.path}: {error}.") from error

    def check_open(self) -> None:
        """Raises: KnowledgeUnavailableError when closed."""
        if self.closed.is_set():
            raise KnowledgeUnavailableError(f"knowledge base {self.path}: it is closed.")
