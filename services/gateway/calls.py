"""What every call at the edge gets: request id, admission, metrics, log line, exact status."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import structlog

from services.common import tracing
from services.common.errors import NesycdError, OverloadedError
from services.common.metrics import Metrics
from services.common.status import DETAILS_KEY, write_status
from services.common.tracing import REQUEST_ID_KEY, TRACEPARENT_KEY, Origin

_OURS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
    }
)
"""Codes that count as failures of the service."""

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

log = structlog.get_logger()

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True)
class Call:
    """One call under way: its id, and the moment it arrived (monotonic seconds)."""

    request_id: str
    arrived: float

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call arrived."""
        return time.monotonic() - self.arrived


@dataclass(frozen=True, slots=True)
class UpstreamStatus(Exception):  # noqa: N818 - a status to be passed on, not a fault of ours
    """The inner service's own verdict, passed on as it is."""

    code: grpc.StatusCode
    details: str
    serialised: bytes = b""


class Calls:
    """Admits, counts and ends calls."""

    def __init__(self, metrics: Metrics, *, max_concurrent: int) -> None:
        self._metrics = metrics
        self._max_concurrent = max_concurrent
        self._running = 0

    @asynccontextmanager
    async def running(self, method: str, context: Context) -> AsyncIterator[Call]:
        """Wraps one call; an error raised inside ends it with the status it stands for."""
        origin = _origin(context)
        call = Call(origin.request_id, time.monotonic())
        with tracing.call(origin, method) as span:
            async with self._counted(call, span, method, context):
                yield call

    @asynccontextmanager
    async def _counted(
        self, call: Call, span: tracing.Span, method: str, context: Context
    ) -> AsyncIterator[None]:
        structlog.contextvars.bind_contextvars(request_id=call.request_id)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        code = grpc.StatusCode.OK
        self._running += 1
        self._metrics.in_flight.inc()
        try:
            if self._running > self._max_concurrent:
                raise OverloadedError(  # noqa: TRY301 - ends like any other error
                    f"{self._max_concurrent} calls are in flight already", retry_after_s=1.0
                )
            yield
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except UpstreamStatus as upstream:
            code = upstream.code
            await _abort(context, call, code, upstream.details, upstream.serialised)
        except NesycdError as error:
            code, status = grpc.StatusCode[error.status], write_status(error)
            await _abort(context, call, code, status.message, status.SerializeToString())
        except Exception:
            code = grpc.StatusCode.INTERNAL
            log.exception("call_failed", method=method)
            await _abort(context, call, code, f"internal error; request id {call.request_id}", b"")
        finally:
            self._running -= 1
            self._metrics.in_flight.dec()
            self._metrics.requests.labels(method, code.name).inc()
            self._metrics.request_seconds.labels(method).observe(
                call.elapsed_s, {"trace_id": span.trace_id} if span.trace_id else None
            )
            span.set(code=code.name)
            if code in _OURS:
                span.fail(code.name)
            log.info("call", method=method, code=code.name, seconds=round(call.elapsed_s, 4))


def _origin(context: Context) -> Origin:
    request_id, traceparent = uuid.uuid4().hex, ""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            request_id = value
        if key == TRACEPARENT_KEY and isinstance(value, str):
            traceparent = value
    return Origin(request_id, traceparent)


async def _abort(
    context: Context, call: Call, code: grpc.StatusCode, details: str, serialised: bytes
) -> None:
    metadata: list[tuple[str, str | bytes]] = [(REQUEST_ID_KEY, call.request_id)]
    if serialised:
        metadata.append((DETAILS_KEY, serialised))
    await context.abort(code, details, tuple(metadata))
