"""Errors as `google.rpc.Status`, the form in which they cross both gRPC hops."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.common.errors import NesycdError

DETAILS_KEY = "grpc-status-details-bin"
"""The trailing metadata key under which gRPC carries a serialised Status."""

DOMAIN = "nesycd"


def write_status(error: NesycdError) -> status_pb2.Status:
    """The Status of an error: code, message, field violations, retry hint, error class."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status), message=error.message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=type(error).__name__, domain=DOMAIN)
    )
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description
            )
            for violation in error.violations
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


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
