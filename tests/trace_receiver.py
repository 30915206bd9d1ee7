"""A receiver of traces (OTLP over gRPC), for tests: keeps every span that is sent to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc


@dataclass(frozen=True)
class Received:
    """One span: whose, what, and where in the trace."""

    process: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: tuple[str, ...]
    failed: bool


class Receiver(pb_grpc.TraceServiceServicer):
    """Keeps spans, in the order of their arrival."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.endpoint = ""
        self.raw: list[bytes] = []

    def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self.raw.append(request.SerializeToString())
        for resource in request.resource_spans:
            process = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_received(process, span) for span in scope.spans]
        return pb.ExportTraceServiceResponse()

    def named(self, *names: str, timeout_s: float = 20.0) -> dict[str, Received]:
        """The spans of these names by name, once all have come; the last of each."""
        deadline = time.monotonic() + timeout_s
        while not {*names} <= {span.name for span in self.spans}:
            found = sorted({span.name for span in self.spans})
            assert time.monotonic() < deadline, f"of {names} only {found} came"
            time.sleep(0.05)
        return {span.name: span for span in self.spans if span.name in names}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens on a free port of this machine."""
    receiver, server = Receiver(), grpc.server(ThreadPoolExecutor(2))
    pb_grpc.add_TraceServiceServicer_to_server(receiver, server)
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


def _received(process: str, span: Any) -> Received:
    return Received(
        process,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _attributes(span.attributes),
        tuple(event.name for event in span.events),
        span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
