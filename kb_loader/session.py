"""What the commands share: the store, the author, the progress bar, JSON."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import typer

from services.common.errors import InvalidRequestError
from services.common.records import Authorship
from services.common.settings import load_settings
from services.knowledge.factory import open_store
from services.knowledge.protocol import KnowledgeStore

_ADVANCED_TOGETHER = 256
"""Moving the bar takes longer than reading an entry."""


@asynccontextmanager
async def opened_store() -> AsyncIterator[KnowledgeStore]:
    """The store that the settings name, closed at the end of the block."""
    store = open_store(load_settings())
    try:
        yield store
    finally:
        await store.close()


def author(actor: str, reason: str) -> Authorship:
    """Who changes something, and why; the login name where no actor is named."""
    if not actor:
        try:
            actor = getpass.getuser()
        except (KeyError, OSError):
            raise InvalidRequestError.of_field(
                "--actor", "say who you are; this login has no name"
            ) from None
    return Authorship(actor, reason)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere; the function takes how many more are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - rich takes long to import
    from rich.progress import Progress  # noqa: PLC0415

    waiting = 0
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(done: int) -> None:
            nonlocal waiting
            waiting += done
            if waiting >= _ADVANCED_TOGETHER:
                bar.advance(task, waiting)
                waiting = 0

        yield advance


def print_json(value: object) -> None:
    """Prints a value for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
