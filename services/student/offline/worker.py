"""The thread that owns a transformers model and decodes all requests on it.

Continuous batching: requests join between two steps and leave at the step that ends them.
There is one batch per adapter; the batches take turns, so no step mixes adapters.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import structlog
import torch

from services.common.errors import StudentUnavailableError
from services.student.offline.batch import DecodingBatch, Written
from services.student.offline.lora_switch import LoraSwitch
from services.student.offline.request import DecodingRequest

_DEAD = "the student's engine is dead"
_GAVE_UP = "the student's engine gave this request up"
# Reading new prompts holds up every running row, so newcomers wait for company: until they
# are an eighth of what runs, or this many turns have passed.
_COMPANY_SHARE = 8
_MOST_TURNS_ALONE = 8

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """What one worker takes on at once.

    Attributes:
        rows: sequences decoded together.
        cache_tokens: places in the key-value cache, padding included. One request alone is
            taken whatever it needs.
        read_tokens: prompt tokens read in one pass, padding included.
        threads: CPU threads.
    """

    rows: int
    cache_tokens: int
    read_tokens: int
    threads: int


@dataclass(slots=True)
class _Part:
    """A batch and the request of each of its rows; None where it has left the row."""

    batch: DecodingBatch
    requests: list[DecodingRequest | None]

    def running(self) -> dict[int, DecodingRequest]:
        """By row."""
        return {row: one for row, one in enumerate(self.requests) if one and one.goes_on}


class DecodingWorker:
    """Decodes on a thread of its own until it is stopped or its device fails.

    Args:
        model: a transformers causal language model; nothing else may touch it any more.
        limits: what it takes on at once.
    """

    def __init__(self, model: Any, limits: DecodingLimits) -> None:
        self._model = model
        self._loras: Any = LoraSwitch(model)
        self._limits = limits
        self._most_rows = limits.rows
        self._inbox: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._waiting: deque[DecodingRequest] = deque()
        # By adapter. What has joined since the last step stands in parts of its own.
        self._batches: dict[int, list[_Part]] = {}
        self._turns_alone = 0
        self._is_over = False
        self._lock = threading.Lock()  # nothing is put into the inbox of a dead worker
        self._thread = threading.Thread(target=self._run, name="student", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises StudentUnavailableError when the thread has ended or was told to."""
        if self._is_over:
            raise StudentUnavailableError(_DEAD)

    def submit(self, request: DecodingRequest) -> None:
        """Queues a request. Raises StudentUnavailableError."""
        self._send(lambda: self._waiting.append(request))

    async def add_adapter(self, number: int, folder: Path) -> None:
        """Brings an adapter in between two steps. Raises what `LoraSwitch.add` raises."""
        await self._call(lambda: self._loras.add(number, folder))

    async def remove_adapter(self, number: int) -> None:
        """Takes an adapter out; its requests must have ended or been cancelled before."""
        await self._call(lambda: self._remove(number))

    def stop(self) -> None:
        """Ends the thread after its present step; running requests fail. Safe to call twice."""
        self._is_over = True
        self._inbox.put(lambda: None)
        self._thread.join()

    def _send(self, message: Callable[[], object]) -> None:
        with self._lock:
            self.check()
            self._inbox.put(message)

    async def _call(self, function: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def run() -> None:
            error: Exception | None = None
            try:
                self.check()
                function()
            except Exception as raised:  # noqa: BLE001  # the caller's, whatever it is
                error = raised
            loop.call_soon_threadsafe(settle, error)

        self._send(run)
        await done

    def _run(self) -> None:
        torch.set_num_threads(self._limits.threads)
        try:
            with torch.inference_mode():
                while not self._is_over:
                    self._take_turn()
        except Exception:
            log.exception("student_died")
        finally:
            with self._lock:
                self._is_over = True
            self._empty_inbox()
            for request in (*self._waiting, *self._running()):
                request.fail(_DEAD)
            self._waiting.clear()
            self._batches.clear()
            self._model = self._loras = None

    def _take_turn(self) -> None:
        """What has come in since the last turn, then one step of every batch."""
        if not self._waiting and not self._batches:
            self._inbox.get()()
        self._empty_inbox()
        for number, requests in self._admit().items():
            self._loras.select(number)
            for chunk in self._chunks(requests):
                self._read(number, chunk)
        for number in list(self._batches):
            self._loras.select(number)
            self._step(number)

    def _empty_inbox(self) -> None:
        try:
            while True:
                self._inbox.get_nowait()()
        except Empty:
            pass

    def _running(self) -> list[DecodingRequest]:
        parts = [part for parts in self._batches.values() for part in parts]
        return [request for part in parts for request in part.running().values()]

    def _admit(self) -> Mapping[int, list[DecodingRequest]]:
        """Takes from the queue what has room beside what runs, by adapter."""
        admitted: dict[int, list[DecodingRequest]] = defaultdict(list)
        self._waiting = deque(one for one in self._waiting if one.goes_on)
        if not self._waiting:
            return admitted
        running = self._running()
        needs = _Needs()
        for request in running:
            needs.add(request)
        newcomers = []
        for request in self._waiting:
            needs.add(request)
            too_much = needs.rows > self._most_rows or needs.tokens > self._limits.cache_tokens
            if too_much and needs.rows > 1:
                break
            newcomers.append(request)
        is_company = len(newcomers) >= len(running) // _COMPANY_SHARE
        if not is_company and self._turns_alone < _MOST_TURNS_ALONE:
            self._turns_alone += 1
            return admitted
        self._turns_alone = 0
        for request in newcomers:
            self._waiting.popleft()
            admitted[request.adapter].append(request)
        return admitted

    def _chunks(self, requests: Sequence[DecodingRequest]) -> Iterator[list[DecodingRequest]]:
        """What is read in one pass: prompts of like length, so that little is padding."""
        chunk: list[DecodingRequest] = []
        longest = 0
        for request in sorted(requests, key=lambda one: len(one.token_ids), reverse=True):
            if chunk and longest * (len(chunk) + 1) > self._limits.read_tokens:
                yield chunk
                chunk = []
            longest = longest if chunk else len(request.token_ids)
            chunk.append(request)
        if chunk:
            yield chunk

    def _read(self, number: int, requests: list[DecodingRequest]) -> None:
        """Reads prompts, writes their first tokens and makes them a part of the batch."""
        try:
            batch, written = DecodingBatch.read(
                self._model,
                [request.token_ids for request in requests],
                with_gaps=_want_gaps(requests),
            )
        except torch.OutOfMemoryError:
            self._put_back(requests)
            return
        except Exception as error:  # noqa: BLE001  # one batch must not end the others
            self._give_up(requests, error)
            return
        self._batches.setdefault(number, []).append(_Part(batch, [*requests]))
        _write(requests, written)

    def _step(self, number: int) -> None:
        """One token for every row of a batch, after its parts have become one."""
        parts = [(part, part.running()) for part in self._batches[number]]
        parts = [(part, running) for part, running in parts if running]
        self._batches[number] = [part for part, _ in parts]
        if not parts:
            del self._batches[number]
            return
        requests = [request for _, running in parts for request in running.values()]
        try:
            if len(parts) == 1 and len(requests) == len(parts[0][0].requests):
                batch = parts[0][0].batch
            else:
                batch = DecodingBatch.merged([(part.batch, [*rows]) for part, rows in parts])
                self._batches[number] = [_Part(batch, [*requests])]
            written = batch.step(with_gaps=_want_gaps(requests))
        except torch.OutOfMemoryError:
            self._halve(number, requests)
            return
        except Exception as error:  # noqa: BLE001
            del self._batches[number]
            self._give_up(requests, error)
            return
        _write(requests, written)

    def _halve(self, number: int, requests: list[DecodingRequest]) -> None:
        """Takes half of a batch that has grown too large out; it goes on later."""
        leaving = requests[len(requests) // 2 :]
        for part in self._batches[number]:
            part.requests = [None if one in leaving else one for one in part.requests]
        self._put_back(leaving)

    def _put_back(self, requests: list[DecodingRequest]) -> None:
        """Queues requests again that memory was too small for, and admits fewer from now on."""
        torch.cuda.empty_cache()
        together = len(self._running()) + len(requests)
        if together == 1:
            log.error("student_out_of_memory", tokens=len(requests[0].token_ids))
            requests[0].fail(_GAVE_UP)
            return
        self._most_rows = max(1, together // 2)
        log.warning("student_batch_halved", rows=self._most_rows)
        self._waiting.extendleft(reversed(requests))

    def _give_up(self, requests: Iterable[DecodingRequest], error: Exception) -> None:
        """Fails the requests of a batch. Raises `error` again when nothing else can run either."""
        log.error("student_batch_failed", exc_info=error)
        for request in requests:
            request.fail(_GAVE_UP)
        if isinstance(error, torch.AcceleratorError):
            raise error

    def _remove(self, number: int) -> None:
        self._batches.pop(number, None)
        self._loras.remove(number)


class _Needs:
    """Rows and cache of requests, when all are at their longest."""

    def __init__(self) -> None:
        self.rows = 0
        self._of_adapter: dict[int, tuple[int, int]] = {}

    @property
    def tokens(self) -> int:
        return sum(rows * longest for rows, longest in self._of_adapter.values())

    def add(self, request: DecodingRequest) -> None:
        rows, longest = self._of_adapter.get(request.adapter, (0, 0))
        self._of_adapter[request.adapter] = (rows + 1, max(longest, request.most_tokens))
        self.rows += 1


def _want_gaps(requests: Iterable[DecodingRequest]) -> bool:
    return any(request.sampling.with_gaps for request in requests)


def _write(requests: Iterable[DecodingRequest], written: Written) -> None:
    for request, token_id, gap in zip(requests, written.token_ids, written.gaps, strict=True):
        request.write(token_id, gap)
