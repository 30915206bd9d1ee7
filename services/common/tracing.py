"""Traces of calls across processes, by OpenTelemetry; nothing of it is imported while off.

The gateway begins a trace, or goes on with its caller's, for each call. Every hop carries an
`Origin`: the request id, which goes into every log line, and the W3C traceparent. A process
behind the gateway adds spans to a trace that came with the call and begins none. Spans carry
names, numbers and ids, never text of a user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import Tracer

    from services.common.settings import Settings

REQUEST_ID_KEY = "x-request-id"
TRACEPARENT_KEY = "traceparent"
"""Metadata keys of an origin."""

_FLUSH_MS = 2000


@dataclass(frozen=True, slots=True)
class _Running:
    provider: TracerProvider
    tracer: Tracer


_running: _Running | None = None
# Set to what it was at the end of a span, not reset by a token: an async generator may be
# closed in another context than it ran in.
_current: ContextVar[RecordedSpan | None] = ContextVar("span", default=None)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which call some work belongs to: what crosses from process to process.

    Attributes:
        request_id: of the call; "" for work of no call.
        traceparent: W3C trace context of the span that asked for the work; "" when not traced.
    """

    request_id: str = ""
    traceparent: str = ""

    @classmethod
    def here(cls) -> Origin:
        """For work that the running code asks of another process."""
        request_id = structlog.contextvars.get_contextvars().get("request_id", "")
        current = _current.get()
        return cls(str(request_id), Span(current).traceparent)


class Span:
    """A piece of work under way. Does nothing where it is not traced."""

    def __init__(self, recorded: RecordedSpan | None) -> None:
        self._recorded = recorded

    def set(self, **attributes: str | float | bool) -> None:
        """Notes what is known of the work; names get the prefix `nesycd.`."""
        if self._recorded is not None:
            for name, value in attributes.items():
                self._recorded.set_attribute(f"nesycd.{name}", value)

    def event(self, name: str) -> None:
        """Notes the moment."""
        if self._recorded is not None:
            self._recorded.add_event(name)

    def fail(self, what: str) -> None:
        """Marks the work as failed by `what`: a class or a code, never a message with text."""
        if self._recorded is not None:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

            self._recorded.set_attribute("error.type", what)
            self._recorded.set_status(Status(StatusCode.ERROR))

    @property
    def traceparent(self) -> str:
        """For who continues the trace; "" where there is none."""
        if self._recorded is None:
            return ""
        context = self._recorded.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def trace_id(self) -> str:
        """Of a trace that is sampled, so that it can be looked up; otherwise ""."""
        if self._recorded is None:
            return ""
        context = self._recorded.get_span_context()
        return f"{context.trace_id:032x}" if context.trace_flags.sampled else ""


def configure(settings: Settings, process: str) -> None:
    """Turns tracing on in this process, named `nesycd-PROCESS`, if the settings ask for it."""
    global _running  # noqa: PLW0603 - one tracer per process, as one log
    if not settings.tracing.endpoint or _running is not None:
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.tracing.sample_ratio)),
        # OTEL_RESOURCE_ATTRIBUTES adds to it: pod, namespace.
        resource=Resource.create(
            {"service.name": f"nesycd-{process}", "service.version": version("nesycd")}
        ),
    )
    endpoint = settings.tracing.endpoint
    exporter = OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _running = _Running(provider, provider.get_tracer("nesycd"))


def flush() -> None:
    """Sends what is not sent yet, within two seconds; for the end of a process."""
    if _running is not None:
        _running.provider.force_flush(_FLUSH_MS)


def stop() -> None:
    """Sends the rest and turns tracing off."""
    global _running  # noqa: PLW0603 - see `configure`
    if _running is not None:
        flush()
        _running.provider.shutdown()
        _running = None


@contextmanager
def call(origin: Origin, name: str) -> Iterator[Span]:
    """The span of a call at the gateway: in the caller's trace, or the first of a new one.

    Which errors are failures of ours is for the gateway to say.
    """
    with _span(name, origin.traceparent, begins=True) as span:
        span.set(request_id=origin.request_id)
        yield span


@contextmanager
def continued(origin: Origin, name: str) -> Iterator[Span]:
    """The span of work that another process asked for; its request id goes into the log."""
    structlog.contextvars.clear_contextvars()
    if origin.request_id:
        structlog.contextvars.bind_contextvars(request_id=origin.request_id)
    with _span(name, origin.traceparent) as span:
        span.set(request_id=origin.request_id)
        yield span


@contextmanager
def part(name: str) -> Iterator[Span]:
    """The span of a part of the work that the running code is at."""
    with _span(name, "") as span:
        yield span


@contextmanager
def _span(name: str, traceparent: str, *, begins: bool = False) -> Iterator[Span]:
    outer = _current.get()
    if _running is None or not (begins or traceparent or outer is not None):
        yield Span(None)
        return
    started = _start(_running.tracer, name, traceparent, outer, is_call=begins)
    _current.set(started)
    span = Span(started)
    try:
        yield span
    except (asyncio.CancelledError, GeneratorExit):
        span.set(cancelled=True)
        raise
    except BaseException as error:
        if not begins:
            span.fail(type(error).__name__)
        raise
    finally:
        _current.set(outer)
        started.end()


def _start(
    tracer: Tracer, name: str, traceparent: str, outer: RecordedSpan | None, *, is_call: bool
) -> RecordedSpan:
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    context = Context()
    if traceparent:  # one that is malformed counts as none
        carrier = {TRACEPARENT_KEY: traceparent}
        context = TraceContextTextMapPropagator().extract(carrier, context)
    elif outer is not None:
        context = set_span_in_context(outer, context)
    kind = SpanKind.SERVER if is_call or traceparent else SpanKind.INTERNAL
    return tracer.start_span(name, context, kind=kind)
