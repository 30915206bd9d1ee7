"""Errors as `google.rpc.Status`, the form in which they cross both gRPC hops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.common.errors import FieldViolation, NesycdError

DETAILS_KEY = "grpc-status-details-bin"
"""The trailing metadata key under which gRPC carries a serialised Status."""

DOMAIN = "nesycd"

_MESSAGE_BYTES = 1500
_VIOLATIONS_BYTES = 2500
"""Trailers above 8 KiB may, above 16 KiB must end not only their call but the whole connection."""


def write_status(error: NesycdError) -> status_pb2.Status:
    """The Status of an error: code, message, error class, field violations, retry hint.

    Message and violations are cut to what trailers can carry; metadata is short by itself.
    """
    message = _cut(error.message, _MESSAGE_BYTES)
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status), message=message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=type(error).__name__, domain=DOMAIN, metadata=error.metadata
        )
    )
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description
            )
            for violation in _fitting(error.violations)
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _fitting(violations: Iterable[FieldViolation]) -> Iterator[FieldViolation]:
    """The first violations, as many as there is room for."""
    room = _VIOLATIONS_BYTES
    for violation in violations:
        fitting = FieldViolation(violation.field, _cut(violation.description, _MESSAGE_BYTES))
        room -= _size(fitting.field) + _size(fitting.description)
        if room < 0:
            return
        yield fitting


def _cut(text: str, most: int) -> str:
    """The text, or as much of it as takes so many bytes, and dots."""
    if _size(text) <= most:
        return text
    sizes = accumulate(map(_size, text))
    return "".join(char for char, size in zip(text, sizes, strict=True) if size <= most) + "..."


def _size(text: str) -> int:
    """Bytes in a trailer, where each byte of what is not printable ASCII takes three."""
    return sum(1 if " " <= char <= "~" else 3 * len(char.encode()) for char in text)


def read_violations(serialised: bytes) -> list[tuple[str, str]]:
    """The (field, description) pairs of a serialised Status."""
    status = status_pb2.Status.FromString(serialised)
    bad_request = error_details_pb2.BadRequest()
    return [
        (violation.field, violation.description)
        for detail in status.details
        if detail.Unpack(bad_request)
        for violation in bad_request.field_violations
    ]
