"""Time: what a request may still take, and what each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.common import tracing


class Budget:
    """Counts down from a number of seconds, starting now."""

    def __init__(self, seconds: float) -> None:
        self._start = time.monotonic()
        self.seconds = seconds

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def left_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.seconds - self.elapsed_s)


class Stopwatch:
    """Sums the time spent in each named stage, in seconds; a trace shows each as a span.

    Stages may overlap.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent inside the block to the stage."""
        start = time.monotonic()
        try:
            with tracing.part(name):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
