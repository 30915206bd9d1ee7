"""Progress of named steps: a spinner with seconds on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Shows one running step at a time, on standard error, and how long each took."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Runs one step; says when it starts and how long it took."""
        if not self._console.is_terminal:
            self.say(f"{what} ...")
        running, start = self._progress.add_task(what, total=None), time.monotonic()
        try:
            yield
        finally:
            self._progress.remove_task(running)
        self.say(f"{what}: done in {time.monotonic() - start:.1f} s")

    def say(self, line: str) -> None:
        """Prints a line above the running step."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
