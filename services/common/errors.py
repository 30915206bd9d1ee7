"""Every error of nesycd, and the status each one becomes.

::

    NesycdError                     a bug if it is this one itself     INTERNAL
    ├── ConfigurationError          settings, folders, dumps           (start stops, exit code 2)
    ├── InvalidRequestError         a field of the request is wrong    INVALID_ARGUMENT
    ├── AdapterNotFoundError        no adapter of that name            NOT_FOUND
    ├── AdapterRefusedError         the engine cannot serve it         FAILED_PRECONDITION
    ├── EntryNotFoundError          no knowledge entry of that id      NOT_FOUND
    ├── EntryExistsError            there is one of that id already    ALREADY_EXISTS
    ├── EditConflictError           the entry was changed meanwhile    ABORTED
    ├── EditRefusedError            its status does not allow that     FAILED_PRECONDITION
    ├── ReleaseNotFoundError        no complete release of that name   NOT_FOUND
    ├── OverloadedError             admission limit reached            RESOURCE_EXHAUSTED
    ├── BudgetExhaustedError        no answer within the budget        DEADLINE_EXCEEDED
    ├── StudentUnavailableError     the engine is dead or starting     UNAVAILABLE
    └── KnowledgeUnavailableError   the store is down or broken        UNAVAILABLE

`STATUS` is the one table from error class to status name; docs/errors.md is held to
it by a test. Errors keep their fields through pickling, since they cross Ray actors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field of a request: its name, and why its value was refused."""

    field: str
    description: str


class NesycdError(Exception):
    """Root of the tree.

    Args:
        message: one sentence, fit to be shown to the caller.
        violations: wrong fields of the request.
        retry_after_s: when to come back.
        metadata: of what the message says, the few short names that programs need.
    """

    def __init__(
        self,
        message: str,
        *,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        fields = (self.message, self.violations, self.retry_after_s, self.metadata)
        return _rebuild, (type(self), *fields)

    @property
    def status(self) -> str:
        """The gRPC status name of this error."""
        return next(STATUS[cls] for cls in type(self).__mro__ if cls in STATUS)

    @classmethod
    def of_field(cls, field: str, description: str) -> Self:
        """Builds an error about one field; its message names the field."""
        return cls(f"{field}: {description}", violations=(FieldViolation(field, description),))


def _rebuild(
    cls: type[NesycdError],
    message: str,
    violations: tuple[FieldViolation, ...],
    retry_after_s: float | None,
    metadata: Mapping[str, str],
) -> NesycdError:
    return cls(message, violations=violations, retry_after_s=retry_after_s, metadata=metadata)


class ConfigurationError(NesycdError):
    """A setting, model folder, adapter folder or dump is missing or broken."""


class InvalidRequestError(NesycdError):
    """A field of the request is missing, too long or out of range."""


class AdapterNotFoundError(NesycdError):
    """No folder holds an adapter of that name and version, or it was unloaded."""


class AdapterRefusedError(NesycdError):
    """The adapter is there, but the engine cannot serve it."""


class EntryNotFoundError(NesycdError):
    """No knowledge entry has that id, or no revision of it that number."""


class EntryExistsError(NesycdError):
    """An entry that was to be created is there already."""


class EditConflictError(NesycdError):
    """An entry was changed since it was read; the message names its current etag."""

    @classmethod
    def of_entry(cls, entry_id: str, *, etag: str, expected: str) -> Self:
        """Builds the error about one entry; its metadata has `entry_id` and the current `etag`."""
        return cls(
            f"entry {entry_id!r} was changed meanwhile: its etag is {etag}, not {expected}.",
            metadata={"entry_id": entry_id, "etag": etag},
        )


class EditRefusedError(NesycdError):
    """The entry's status does not allow the change, or the change changes nothing."""


class ReleaseNotFoundError(NesycdError):
    """No complete knowledge release has that name, or there is none to go back to."""


class OverloadedError(NesycdError):
    """The student's admission limit is reached; `retry_after_s` says when to return."""


class BudgetExhaustedError(NesycdError):
    """The budget ran out before there was any answer."""


class StudentUnavailableError(NesycdError):
    """The student's engine is dead or not yet up."""


class KnowledgeUnavailableError(NesycdError):
    """The knowledge base cannot be read. Degrades an answer, never fails it."""


STATUS: dict[type[NesycdError], str] = {
    NesycdError: "INTERNAL",
    ConfigurationError: "FAILED_PRECONDITION",
    InvalidRequestError: "INVALID_ARGUMENT",
    AdapterNotFoundError: "NOT_FOUND",
    AdapterRefusedError: "FAILED_PRECONDITION",
    EntryNotFoundError: "NOT_FOUND",
    EntryExistsError: "ALREADY_EXISTS",
    EditConflictError: "ABORTED",
    EditRefusedError: "FAILED_PRECONDITION",
    ReleaseNotFoundError: "NOT_FOUND",
    OverloadedError: "RESOURCE_EXHAUSTED",
    BudgetExhaustedError: "DEADLINE_EXCEEDED",
    StudentUnavailableError: "UNAVAILABLE",
    KnowledgeUnavailableError: "UNAVAILABLE",
}
