"""How an RPC of the inner service fails: code, details and trailers on its context."""

# ruff: noqa: D102 - methods of grpc's context

from __future__ import annotations

from typing import Any, Protocol

import grpc
import structlog

from services.common.errors import InvalidRequestError, NesycdError
from services.common.status import DETAILS_KEY, write_status
from services.common.tracing import REQUEST_ID_KEY, TRACEPARENT_KEY, Origin

log = structlog.get_logger()


class Context(Protocol):
    """What is used of a gRPC servicer context; Serve's has this much too."""

    def invocation_metadata(self) -> Any: ...
    def set_code(self, code: grpc.StatusCode) -> None: ...
    def set_details(self, details: str) -> None: ...
    def set_trailing_metadata(self, trailing_metadata: Any) -> None: ...


def origin(context: Context) -> Origin:
    """The call that the gateway forwards."""
    metadata = dict(context.invocation_metadata())
    return Origin(str(metadata.get(REQUEST_ID_KEY, "")), str(metadata.get(TRACEPARENT_KEY, "")))


def fail(context: Context, error: NesycdError) -> None:
    """Ends the call with the status that the error stands for, whatever message it returns."""
    status = write_status(error)
    if not isinstance(error, InvalidRequestError):
        log.warning("request_failed", error=type(error).__name__, message=status.message)
    context.set_code(grpc.StatusCode[error.status])
    context.set_details(status.message)
    context.set_trailing_metadata([(DETAILS_KEY, status.SerializeToString())])
