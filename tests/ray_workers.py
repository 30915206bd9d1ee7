"""Workers for the tests of `--ray`; here, because worker processes import their module."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from services.common.errors import AdapterNotFoundError, ConfigurationError
from training.row_file import Row


class Number(Row):
    value: int


class Square(Row):
    value: int
    process: int = 0


@dataclass
class Squaring:
    """Squares numbers, slowly.

    Attributes:
        unopened: what is said when it cannot be opened.
        failing: key of the row that ends the work.
        deadly: key of the row that kills the process, each time.
    """

    unopened: str = ""
    failing: str = ""
    deadly: str = ""

    async def open(self) -> None:
        if self.unopened:
            raise ConfigurationError(self.unopened)

    async def __call__(self, item: Number, /) -> Square:
        await asyncio.sleep(0.02)
        if item.key == self.failing:
            raise AdapterNotFoundError.of_field("adapter", "'sp@v1' is not here")
        if item.key == self.deadly:
            os._exit(1)
        error = "odd one out" if item.value == 13 else ""
        return Square(key=item.key, value=item.value**2, process=os.getpid(), error=error)

    async def close(self) -> None:
        pass
