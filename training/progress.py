"""Progress of long jobs: bars on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

_SILENCE_S = 30.0


class Advance(Protocol):
    """Called with the number of rows just done."""

    def __call__(self, count: int = 1, /) -> None:
        """Adds to the bar."""
        ...


class Progress:
    """Shows bars on standard error. Quiet if told so."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._interrupted = False

    def interrupt(self, *_: object) -> None:
        """Handles SIGINT. What a library swallows, in an import say, the next row raises again."""
        self._interrupted = True
        raise KeyboardInterrupt

    @contextmanager
    def bar(self, what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """A bar of `total` rows, of which some are done already."""
        with Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        ) as bars:
            task = bars.add_task(what, total=total, completed=done)
            said_at = time.monotonic()

            def advance(count: int = 1, /) -> None:
                nonlocal done, said_at
                if self._interrupted:
                    raise KeyboardInterrupt
                done += count
                bars.advance(task, count)
                if not self._console.is_terminal and time.monotonic() - said_at > _SILENCE_S:
                    said_at = time.monotonic()
                    self.say(f"{what}: {done} of {total}")

            yield advance

    def say(self, line: str) -> None:
        """Prints a line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
