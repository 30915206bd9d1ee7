"""Errors as google.rpc.Status: nothing is lost on the way over gRPC."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import (
    STATUS,
    EditConflictError,
    FieldViolation,
    InvalidRequestError,
    NesycdError,
    OverloadedError,
)
from services.common.status import DOMAIN, read_violations, write_status


@pytest.mark.parametrize("error_class", STATUS)
def test_a_status_carries_code_message_and_error_class(error_class: type[NesycdError]) -> None:
    status = write_status(error_class("it broke"))
    assert code_pb2.Code.Name(status.code) == STATUS[error_class]
    assert status.message == "it broke"
    info = error_details_pb2.ErrorInfo()
    [detail] = status.details
    assert detail.Unpack(info)
    assert (info.reason, info.domain) == (error_class.__name__, DOMAIN)


def test_metadata_travels_with_the_error_class() -> None:
    error = EditConflictError.of_entry("a", etag="2-ab", expected="1-cd")
    info = error_details_pb2.ErrorInfo()
    assert write_status(error).details[0].Unpack(info)
    assert (info.reason, info.domain) == ("EditConflictError", DOMAIN)
    assert info.metadata == {"entry_id": "a", "etag": "2-ab"}


TEXTS = st.text(min_size=1, max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_violations_arrive_as_they_were(violations: list[tuple[str, str]]) -> None:
    error = InvalidRequestError("x", violations=tuple(FieldViolation(*one) for one in violations))
    assert read_violations(write_status(error).SerializeToString()) == violations


@given(st.floats(min_value=0, max_value=1e6))
def test_the_retry_hint_arrives_to_the_nanosecond(retry_after_s: float) -> None:
    status = write_status(OverloadedError("full", retry_after_s=retry_after_s))
    arrived = status_pb2.Status.FromString(status.SerializeToString())
    hint = error_details_pb2.RetryInfo()
    assert arrived.details[-1].Unpack(hint)
    assert hint.retry_delay.ToNanoseconds() == round(retry_after_s * 1e9)


def test_details_that_are_not_there_are_not_sent() -> None:
    status = write_status(OverloadedError("full"))
    kinds = [detail.TypeName() for detail in status.details]
    assert kinds == ["google.rpc.ErrorInfo"]
    assert read_violations(status.SerializeToString()) == []


def test_violations_stand_beside_a_retry_hint() -> None:
    error = InvalidRequestError("x", violations=(FieldViolation("a", "wrong"),), retry_after_s=2.0)
    kinds = [detail.TypeName() for detail in write_status(error).details]
    assert kinds == ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"]
    assert read_violations(write_status(error).SerializeToString()) == [("a", "wrong")]


@given(
    st.text(max_size=5000),
    st.lists(st.tuples(st.text(max_size=200), st.text(max_size=2000)), max_size=200),
)
def test_a_status_always_fits_the_trailers(message: str, violations: list[tuple[str, str]]) -> None:
    error = InvalidRequestError(
        message, violations=tuple(FieldViolation(*one) for one in violations)
    )
    status = write_status(error)
    # As gRPC sends them: the message with escapes, the details in base64.
    sent = len(quote(status.message)) + len(b64encode(status.SerializeToString()))
    assert sent < 8192


def test_what_does_not_fit_is_cut_at_the_end() -> None:
    violations = tuple(FieldViolation(f"f{n}", "wrong " * 20) for n in range(1000))
    status = write_status(InvalidRequestError("x" * 2000, violations=violations))
    assert status.message == "x" * 1500 + "..."
    kept = read_violations(status.SerializeToString())
    assert kept == [(one.field, one.description) for one in violations[: len(kept)]]
    assert len(kept) == 20
