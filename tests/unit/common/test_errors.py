"""The error tree: fields survive pickling, statuses, docs/errors.md."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest
from google.rpc import code_pb2

from services.common.errors import (
    STATUS,
    AdapterNotFoundError,
    ConfigurationError,
    EditConflictError,
    FieldViolation,
    InvalidRequestError,
    NesycdError,
)

DOC = Path(__file__).parents[3] / "docs" / "errors.md"


def _tree(root: type[NesycdError] = NesycdError) -> Iterator[type[NesycdError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:
            yield from _tree(child)


TREE = list(_tree())


@pytest.mark.parametrize("error_class", TREE)
@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy])  # noqa: S301
def test_an_error_keeps_its_fields_on_the_way_through_ray(
    error_class: type[NesycdError], through: object
) -> None:
    violations = (FieldViolation("top_k", "9 is too many"), FieldViolation("task", "too long"))
    error = error_class(
        "too much", violations=violations, retry_after_s=1.5, metadata={"etag": "2-ab"}
    )
    assert callable(through)
    arrived = through(error)
    assert type(arrived) is error_class
    assert arrived.message == str(arrived) == "too much"
    assert arrived.violations == violations
    assert arrived.retry_after_s == 1.5
    assert arrived.metadata == {"etag": "2-ab"}


def test_an_error_of_a_field_names_it_in_message_and_violation() -> None:
    error = InvalidRequestError.of_field("top_k", "9 is not between 1 and 8")
    assert type(error) is InvalidRequestError
    assert error.message == "top_k: 9 is not between 1 and 8"
    assert error.violations == (FieldViolation("top_k", "9 is not between 1 and 8"),)
    assert error.retry_after_s is None
    assert error.metadata == {}


def test_a_conflict_over_an_entry_names_its_current_etag_in_message_and_metadata() -> None:
    error = EditConflictError.of_entry("a", etag="2-ab", expected="1-cd")
    assert error.message == "entry 'a' was changed meanwhile: its etag is 2-ab, not 1-cd."
    assert error.metadata == {"entry_id": "a", "etag": "2-ab"}


def test_every_error_has_a_status_of_grpc() -> None:
    assert list(STATUS) == TREE
    assert set(STATUS.values()) <= set(code_pb2.Code.keys())


@pytest.mark.parametrize("error_class", TREE)
def test_an_error_knows_its_status(error_class: type[NesycdError]) -> None:
    assert error_class("x").status == STATUS[error_class]


def test_an_error_defined_elsewhere_has_the_status_of_its_nearest_ancestor() -> None:
    class UnlistedError(AdapterNotFoundError):
        pass

    assert UnlistedError("x").status == "NOT_FOUND"


def test_the_documentation_lists_every_error_with_its_status() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (\S.*?) \| (\S.*?) \|$", DOC.read_text("utf-8"), re.MULTILINE
    )
    assert [(name, status) for name, status, _, _ in rows] == [
        (error_class.__name__, status) for error_class, status in STATUS.items()
    ]


def test_the_modules_own_tree_shows_every_error_with_its_status() -> None:
    source = ConfigurationError.__module__
    tree = __import__(source, fromlist=["__doc__"]).__doc__
    for error_class, status in STATUS.items():
        [line] = [line for line in tree.splitlines() if f"{error_class.__name__} " in line]
        assert line.endswith(status) or error_class is ConfigurationError
