"""One request on its way between the event loop, which reads it, and the decoding thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from services.common.errors import StudentUnavailableError
from services.student.offline.completion import Completion
from services.student.protocol import Delta, Sampling


class DecodingRequest:
    """A prompt, what is written after it, and the way of that back to the reader.

    Made inside the event loop that reads it. The decoding thread calls `write`, `publish`
    and `fail`, the reader the rest.

    Attributes:
        adapter: number of the adapter, 0 for the bare model.
        is_cancelled: the reader has gone; its row is to leave the batch.
    """

    def __init__(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        completion: Completion,
        *,
        adapter: int,
    ) -> None:
        self._prompt_ids = list(prompt_ids)
        self._completion = completion
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._got: Delta | None = None
        self._error: Exception | None = None
        self.sampling = sampling
        self.adapter = adapter
        self.is_cancelled = False

    @property
    def token_ids(self) -> list[int]:
        """Prompt and completion so far: what a batch has to read to go on."""
        return self._prompt_ids + self._completion.token_ids

    @property
    def most_tokens(self) -> int:
        """Length of prompt and longest completion."""
        return len(self._prompt_ids) + self.sampling.max_new_tokens

    @property
    def goes_on(self) -> bool:
        """Neither ended nor given up."""
        return self._completion.finish_reason is None and not self.is_cancelled

    def write(self, token_id: int, gap: float) -> None:
        """Adds a token and hands over what the reader waits for."""
        self._completion.add(token_id, gap)
        if self.sampling.streamed or self._completion.finish_reason is not None:
            self._hand_over(self._completion.take())

    def fail(self, reason: str) -> None:
        """Ends the request with StudentUnavailableError."""
        self._hand_over(StudentUnavailableError(reason))

    async def next_delta(self, not_before: float) -> Delta:
        """What was written since the last call: something with text, or the end.

        Text that comes before the time `not_before` (the event loop's, in seconds) waits for
        more; the end is never held back. Raises StudentUnavailableError.
        """
        while self._error is None:
            got = self._got
            if got is not None and (
                got.finish_reason is not None or (got.text and self._loop.time() >= not_before)
            ):
                self._got = None
                return got
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(not_before if got and got.text else None):
                    await self._news.wait()
        raise self._error

    def _hand_over(self, news: Delta | Exception) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._receive, news)

    def _receive(self, news: Delta | Exception) -> None:
        if isinstance(news, Exception):
            self._error = news
        elif self._got is None:
            self._got = news
        else:
            self._got = replace(
                news,
                text=self._got.text + news.text,
                completion_tokens=self._got.completion_tokens + news.completion_tokens,
                gaps=self._got.gaps + news.gaps,
            )
        self._news.set()
