"""Append-only files of keyed rows: what makes a long stage resumable.

A stage's work is the keys wanted minus the keys present. Each row is one line, written at once,
so a killed process loses at most the row it was writing; a torn last line is cut off when the
file is opened again. A row that says an error is kept, but does not count as present: the next
run tries it again, and the last row of a key is the one that holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError

from services.common.errors import ConfigurationError


class Row(BaseModel):
    """A row of any file. `key` is unique in its file; `error` says why it holds no result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1)
    error: str = ""


AnyRow = TypeVar("AnyRow", bound=Row)
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def read_rows(path: Path, model: type[AnyRow]) -> Iterator[AnyRow]:
    """Reads each key's last row, in the order the keys first came.

    A torn last line is left out.

    Raises: ConfigurationError naming file, line and field of a row that is wrong.
    """
    rows: dict[str, AnyRow] = {}
    for number, line in enumerate(_lines(path), 1):
        row = parse_row(line, model, f"{path}:{number}")
        rows[row.key] = row
    yield from rows.values()


def parse_row(line: bytes, model: type[AnyModel], place: str) -> AnyModel:
    """Reads one row. Raises: ConfigurationError that begins with `place`."""
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "row"
        given = repr(first["input"])[:80]
        raise ConfigurationError(f"{place}: {field}: {first['msg']}, got {given}") from error


def write_rows(path: Path, rows: Iterator[Row] | list[Row]) -> int:
    """Writes a whole file, or leaves what was there. Returns how many rows.

    Raises: ConfigurationError when it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    count = 0
    try:
        with part.open("wb") as file:
            for count, row in enumerate(rows, 1):  # noqa: B007 - the count is what is wanted
                file.write(_line(row))
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return count


class RowFile(Generic[AnyRow]):
    """A file that is added to. Use as a context; `present` are the keys that need no more work.

    Args:
        path: of the file; made with its folder if it is not there.
        model: of its rows.

    Raises:
        ConfigurationError: a row that is there cannot be read, or the file cannot be written.
    """

    def __init__(self, path: Path, model: type[AnyRow]) -> None:
        self.path = path
        self.model = model
        self.present: set[str] = set()
        """Keys whose last row has a result."""

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
            whole = sum(map(len, _lines(self.path)))
            if whole < self._file.tell():
                os.truncate(self.path, whole)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            self.present = {row.key for row in read_rows(self.path, self.model) if not row.error}
        except ConfigurationError:
            self._file.close()
            raise
        return self

    def append(self, row: AnyRow) -> None:
        """Writes a row, whole or not at all.

        Raises: ConfigurationError, for instance disk full, or a row that holds a lone surrogate.
        """
        line = _line(row)
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
        except OSError as error:
            raise self._refused(before, error.strerror or str(error)) from error
        if written != len(line):
            raise self._refused(before, "the disk is full")
        if row.error:
            self.present.discard(row.key)
        else:
            self.present.add(row.key)

    def _refused(self, size: int, reason: str) -> ConfigurationError:
        os.truncate(self.path, size)
        return ConfigurationError(
            f"{self.path} cannot be written: {reason}. What was written before is kept; make room "
            f"and run the same command again."
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _line(row: Row) -> bytes:
    try:
        return row.model_dump_json(exclude_defaults=True).encode() + b"\n"
    except PydanticSerializationError as error:  # a lone surrogate, which is no character
        raise ConfigurationError(f"row {row.key!r} cannot be written: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a file; none if there is no file."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
