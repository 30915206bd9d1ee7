"""Callers that ask and stream without a pause, and a tally of what became of their calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import grpc

from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc

_TIMEOUT_S = 60.0
_PAUSE_S = 0.02
_RETRIES = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_REQUESTS = (
    pb.ReasonRequest(question="How many minutes are 3 hours?"),
    pb.ReasonRequest(question="I am unsure: which day comes after Monday?"),
    pb.ReasonRequest(question="unsure", retrieval_mode="RETRIEVAL_MODE_ALWAYS", top_k=2),
    pb.ReasonRequest(question="unsure", adapter="maths"),
)


@dataclass
class Tally:
    """The calls that ended during one step."""

    step: str
    asked: int = 0
    streamed: int = 0
    failures: list[str] = field(default_factory=list)


class Load:
    """`callers` that ask and as many that stream, from `async with` to its end."""

    def __init__(self, addresses: Sequence[str], *, callers: int, retries: bool) -> None:
        method: dict[str, object] = {"name": [{"service": "nesycd.v1.ReasoningService"}]}
        if retries:
            # A call waits while no gateway is connected, instead of failing at once.
            method |= {"retryPolicy": _RETRIES, "waitForReady": True}
        self._channel = grpc.aio.insecure_channel(
            # As a headless Service resolves: the addresses of all gateways.
            "ipv4:" + ",".join(addresses),
            options=[
                # Unset, a gateway that was away is not looked for again for up to two minutes.
                ("grpc.max_reconnect_backoff_ms", 2000),
                (
                    "grpc.service_config",
                    json.dumps(
                        {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [method]}
                    ),
                ),
            ],
        )
        self._stub = pb_grpc.ReasoningServiceStub(self._channel)
        self._callers = callers
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self._tally = Tally("before")

    async def __aenter__(self) -> Self:
        for number in range(self._callers):
            self._tasks.append(asyncio.create_task(self._ask(number)))
            self._tasks.append(asyncio.create_task(self._stream(number)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await asyncio.gather(*self._tasks)
        await self._channel.close()

    def begin(self, step: str) -> None:
        """What ends from now on belongs to `step`."""
        self._tally = Tally(step)

    def end(self) -> Tally:
        """The step's tally."""
        return self._tally

    async def _ask(self, number: int) -> None:
        while not self._ended.is_set():
            number += 1
            started = time.monotonic()
            try:
                reply = await self._stub.Reason(self._request(number), timeout=_TIMEOUT_S)
                self._tally.asked += 1
                self._judge("Reason", reply, started)
            except grpc.aio.AioRpcError as error:
                self._failed("Reason", error, started)
            await asyncio.sleep(_PAUSE_S)

    async def _stream(self, number: int) -> None:
        while not self._ended.is_set():
            number += 1
            started = time.monotonic()
            last = None
            try:
                async for event in self._stub.ReasonStream(
                    self._request(number), timeout=_TIMEOUT_S
                ):
                    last = event
                self._tally.streamed += 1
                self._judge("ReasonStream", last.response if last else pb.ReasonResponse(), started)
            except grpc.aio.AioRpcError as error:
                self._failed("ReasonStream", error, started)
            await asyncio.sleep(_PAUSE_S)

    def _request(self, number: int) -> pb.ReasonRequest:
        return _REQUESTS[number % len(_REQUESTS)]

    def _judge(self, method: str, reply: pb.ReasonResponse, started: float) -> None:
        """An answer that is missing or made without its knowledge is a failure too."""
        if reply.answer != "42" or reply.degraded:
            wrong = pb.DegradedCause.Name(reply.degraded_cause)
            self._tally.failures.append(
                f"{method}: answer {reply.answer!r}, {wrong}, after {_since(started)}"
            )

    def _failed(self, method: str, error: grpc.aio.AioRpcError, started: float) -> None:
        self._tally.failures.append(
            f"{method}: {error.code().name}: {error.details()} after {_since(started)}"
        )


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.2f} s"
