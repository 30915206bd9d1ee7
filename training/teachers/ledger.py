"""What an endpoint was paid: an append-only file in the run folder, and the cap that it holds.

The file is read before anything is spent, so the cap holds over restarts, over the stages that
ask a teacher, and over processes that share the folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.common.errors import ConfigurationError
from training.row_file import parse_row

LEDGER: Final = "ledger.jsonl"


class Payment(BaseModel):
    """One line of the ledger: one reply."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    endpoint: str
    model: str
    question: str = Field(description="Key of the question asked about.")
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    usd: float = Field(ge=0)
    is_upper_bound: bool = Field(
        False, description="The endpoint counted no tokens, so the most it can have been is put."
    )


class Ledger:
    """Payments made, and room under the cap for those to come.

    A request is begun only if the cap holds should it, and all in flight, cost the most they
    can. Several processes may pass the cap by what they have in flight. What an endpoint bills
    for a reply that never came is not known here.

    Args:
        path: of the file; made with its folder by the first payment.
        cap_usd: most that all its lines may sum to; None for no cap.

    Raises:
        ConfigurationError: the file cannot be read.
    """

    def __init__(self, path: Path, *, cap_usd: float | None) -> None:
        self.path = path
        self.spent_usd = 0.0
        """By all lines of the file that were seen so far."""
        self._cap_usd = cap_usd
        self._read_bytes = self._read_lines = 0
        self._reserved: list[float] = []
        self._settled = asyncio.Condition()
        self._catch_up()

    @asynccontextmanager
    async def reserved(self, most_usd: float) -> AsyncIterator[None]:
        """Holds room for one request, waiting for others to end if need be.

        Raises: ConfigurationError when there is no room even with nothing in flight.
        """
        async with self._settled:
            while not self._has_room(most_usd):
                # Only now: whoever else was in flight has its reply, and its row is written.
                if not self._reserved:
                    raise ConfigurationError(
                        f"budget_usd: {self._cap_usd} does not cover the next request (up to "
                        f"${most_usd:.4f}): ${self.spent_usd:.4f} are spent by {self.path}. All "
                        f"replies are kept; raise the budget and run the same command again."
                    )
                await self._settled.wait()
            self._reserved.append(most_usd)
        try:
            yield
        finally:
            async with self._settled:
                self._reserved.remove(most_usd)
                self._settled.notify_all()

    def record(self, payment: Payment) -> None:
        """Writes one line. Raises: ConfigurationError, for instance disk full."""
        line = payment.model_dump_json().encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                before = os.fstat(file.fileno()).st_size
                if file.write(line) != len(line):
                    file.truncate(before)
                    raise ConfigurationError(f"{self.path} cannot be written: the disk is full")
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}") from error
        self._catch_up()

    def _has_room(self, most_usd: float) -> bool:
        if self._cap_usd is None:
            return True
        self._catch_up()
        return self.spent_usd + sum(self._reserved) + most_usd <= self._cap_usd

    def _catch_up(self) -> None:
        """Adds the lines that are new, whoever wrote them."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_bytes)
                for line in file:
                    place = f"{self.path}:{self._read_lines + 1}"
                    self.spent_usd += parse_row(line, Payment, place).usd
                    self._read_bytes += len(line)
                    self._read_lines += 1
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}") from error
