"""The inner service: calls forwarded with deadline and cancellation, and its health watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import structlog
from google.protobuf.message import Message

from services.common.status import DETAILS_KEY
from services.common.tracing import REQUEST_ID_KEY, TRACEPARENT_KEY, Origin
from services.gateway.calls import UpstreamStatus
from services.genproto.nesycd.v1 import knowledge_pb2_grpc, reasoning_pb2_grpc
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

log = structlog.get_logger()

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    # Every gateway process balances and reconnects on its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_PASSED_ON = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)


class Upstream:
    """A channel to Ray Serve's gRPC port. Raises UpstreamStatus for every failed call."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        # The names of all RPCs differ, so that one Serve ingress can host them.
        self._rpcs: dict[str, Any] = {
            **vars(reasoning_pb2_grpc.ReasoningServiceStub(self._channel)),
            **vars(reasoning_pb2_grpc.AdapterServiceStub(self._channel)),
            **vars(knowledge_pb2_grpc.KnowledgeServiceStub(self._channel)),
        }

    async def unary(
        self, method: str, message: Message, *, timeout_s: float, request_id: str
    ) -> Any:
        """Forwards a unary call. Cancelling the awaiting task cancels the inner call."""
        call = self._rpcs[method](message, timeout=timeout_s, metadata=_metadata(request_id))
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise _status(error, request_id) from None

    async def stream(
        self, message: pb.ReasonRequest, *, timeout_s: float, request_id: str
    ) -> AsyncGenerator[pb.ReasonStreamResponse, None]:
        """Forwards ReasonStream. Closing the generator cancels the inner call."""
        call = self._rpcs["ReasonStream"](
            message, timeout=timeout_s, metadata=_metadata(request_id)
        )
        try:
            async for event in call:
                if event.WhichOneof("event"):
                    yield event
        except grpc.aio.AioRpcError as error:
            raise _status(error, request_id) from None
        finally:
            call.cancel()

    async def watch(
        self,
        interval_s: float,
        report: Callable[[pb.DescribeResponse | None], Awaitable[None]],
    ) -> None:
        """Reports, for ever, what the inner service says of itself; None without live student."""
        while True:
            described: pb.DescribeResponse | None = None
            try:
                described = await self.unary(
                    "Describe", pb.DescribeRequest(), timeout_s=5.0, request_id="health"
                )
            except UpstreamStatus as status:
                log.debug("upstream_not_ready", code=status.code.name, details=status.details)
            await report(described)
            await asyncio.sleep(interval_s)

    async def close(self) -> None:
        """Closes the channel."""
        with suppress(asyncio.CancelledError):
            await self._channel.close()


def _metadata(request_id: str) -> tuple[tuple[str, str], ...]:
    traceparent = Origin.here().traceparent
    traced = ((TRACEPARENT_KEY, traceparent),) if traceparent else ()
    return ((REQUEST_ID_KEY, request_id), *traced)


def _status(error: grpc.aio.AioRpcError, request_id: str) -> UpstreamStatus:
    """What the caller may know of an inner failure; the rest goes to the log."""
    code, details = error.code(), error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return UpstreamStatus(code, details, value)
    log.warning("upstream_failed", code=code.name, details=details[:500])
    if code in _PASSED_ON:
        return UpstreamStatus(code, f"{code.name.lower()} in the reasoning service")
    if code is grpc.StatusCode.UNAVAILABLE:
        return UpstreamStatus(code, "the reasoning service is not reachable; try again")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return UpstreamStatus(code, "the reasoning service's queue is full; try again")
    return UpstreamStatus(grpc.StatusCode.INTERNAL, f"internal error; request id {request_id}")
