"""The RPCs at the edge: check, set the deadline, forward, count what came back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.common import wire
from services.common.errors import BudgetExhaustedError, InvalidRequestError
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.gateway.calls import Calls, Context
from services.gateway.decoding import decoder
from services.gateway.upstream import Upstream
from services.genproto.nesycd.v1 import knowledge_pb2
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

M = TypeVar("M")

SERVICES: tuple[ServiceDescriptor, ...] = (
    *pb.DESCRIPTOR.services_by_name.values(),
    *knowledge_pb2.DESCRIPTOR.services_by_name.values(),
)
"""What the edge serves."""

CONTROL_TIMEOUT_S = 60.0
"""Longest call that is no question; loading a large adapter takes seconds."""

LONG_TIMEOUTS_S = {"FindDuplicateEntries": 600.0, "PreviewRelease": 600.0, "CreateRelease": 600.0}
"""Calls that read a whole release, or embed what changed, may take longer."""

_GRACE_S = 2.0
"""How much longer than the budget an inner call may take before it is given up."""


class Edge:
    """Handlers of all services. Holds no state but counters."""

    def __init__(self, settings: Settings, upstream: Upstream, metrics: Metrics) -> None:
        self._reasoner = settings.reasoner
        self._upstream = upstream
        self._metrics = metrics
        self._calls = Calls(metrics, max_concurrent=settings.gateway.max_concurrent_calls)

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """One generic handler per service."""
        asking: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Reason": grpc.unary_unary_rpc_method_handler(
                self._reason,
                request_deserializer=decoder(pb.ReasonRequest),
                response_serializer=_serialise,
            ),
            "ReasonStream": grpc.unary_stream_rpc_method_handler(
                self._reason_stream,
                request_deserializer=decoder(pb.ReasonRequest),
                response_serializer=_serialise,
            ),
        }
        return tuple(
            grpc.method_handlers_generic_handler(
                service.full_name,
                {rpc.name: asking.get(rpc.name) or self._control(rpc) for rpc in service.methods},
            )
            for service in SERVICES
        )

    async def _reason(
        self, message: pb.ReasonRequest | InvalidRequestError, context: Context
    ) -> pb.ReasonResponse:
        async with self._calls.running("Reason", context) as call:
            message, timeout_s = self._checked(message, context)
            reply: pb.ReasonResponse = await self._upstream.unary(
                "Reason", message, timeout_s=timeout_s, request_id=call.request_id
            )
            self._count(reply)
            return reply
        raise AssertionError("an ended call has raised")

    async def _reason_stream(
        self, message: pb.ReasonRequest | InvalidRequestError, context: Context
    ) -> AsyncGenerator[pb.ReasonStreamResponse, None]:
        async with self._calls.running("ReasonStream", context) as call:
            message, timeout_s = self._checked(message, context)
            events = self._upstream.stream(message, timeout_s=timeout_s, request_id=call.request_id)
            first = True
            async with aclosing(events):
                async for event in events:
                    if first:
                        self._metrics.first_text_seconds.observe(call.elapsed_s)
                        first = False
                    if event.HasField("response"):
                        self._count(event.response)
                    yield event

    def _control(self, rpc: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
        """Passes the call on within its deadline; the inner service checks what it asks for."""
        longest_s = LONG_TIMEOUTS_S.get(rpc.name, CONTROL_TIMEOUT_S)

        async def handler(message: Message | InvalidRequestError, context: Context) -> Message:
            async with self._calls.running(rpc.name, context) as call:
                message = _decoded(message)
                if isinstance(message, pb.LoadAdapterRequest | pb.UnloadAdapterRequest):
                    wire.check_adapter(message.adapter)
                remaining_s = _remaining_s(context)
                reply: Message = await self._upstream.unary(
                    rpc.name,
                    message,
                    timeout_s=min(longest_s, remaining_s or longest_s),
                    request_id=call.request_id,
                )
                return reply
            raise AssertionError("an ended call has raised")

        return grpc.unary_unary_rpc_method_handler(
            handler,
            request_deserializer=decoder(GetMessageClass(rpc.input_type)),
            response_serializer=_serialise,
        )

    def _checked(
        self, message: pb.ReasonRequest | InvalidRequestError, context: Context
    ) -> tuple[pb.ReasonRequest, float]:
        """The request with its budget cut to the deadline, and the inner call's time limit."""
        message = _decoded(message)
        budget_s = wire.read_request(message, self._reasoner).budget_s
        remaining_s = _remaining_s(context)
        if remaining_s is None:
            message.budget_ms = round(budget_s * 1000)
            return message, budget_s + _GRACE_S
        # A share is kept back for the way home, so that the best answer so far still arrives.
        message.budget_ms = max(1, int(min(budget_s, remaining_s * 0.95) * 1000))
        return message, min(budget_s + _GRACE_S, remaining_s)

    def _count(self, reply: pb.ReasonResponse) -> None:
        metrics = self._metrics
        for stage in reply.stages:
            metrics.stage_seconds.labels(stage.stage).observe(stage.seconds)
        metrics.tokens.labels("prompt").inc(reply.tokens.prompt)
        metrics.tokens.labels("completion").inc(reply.tokens.completion)
        metrics.gate_decisions.labels(wire.decision_name(reply)).inc()
        metrics.answers.labels(reply.adapter or "none").inc()
        for used in reply.knowledge:
            metrics.retrieved.labels(wire.kind_name(used)).inc()
        metrics.knowledge_entries.observe(len(reply.knowledge))
        if reply.HasField("confidence"):
            metrics.confidence.observe(reply.confidence)
        if not reply.answer:
            metrics.unparsed.inc()
        if reply.degraded:
            metrics.degraded.labels(wire.cause_name(reply)).inc()


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()


def _decoded(message: M | InvalidRequestError) -> M:
    if isinstance(message, InvalidRequestError):
        raise message
    return message


def _remaining_s(context: Context) -> float | None:
    """Seconds until the caller's deadline; None without one.

    Raises: BudgetExhaustedError when it has passed already.
    """
    remaining_s = context.time_remaining()
    if remaining_s is not None and remaining_s <= 0:
        raise BudgetExhaustedError(f"deadline: expired {-remaining_s:.3f} s before the call began")
    return remaining_s
