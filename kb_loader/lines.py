"""The lines of a data file, plain or compressed, one at a time."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from kb_loader.manifest import STEMS
from services.common.records import EntryKind

MAX_LINE_BYTES = 1 << 20

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a missing, cut or broken file raises."""


@dataclass(slots=True)
class Lines:
    """One data file of a dump, and what was seen of it once `read` has run to its end.

    Attributes:
        rows: lines.
        sha256: of the lines as they are without compression.
    """

    path: Path
    rows: int = 0
    sha256: str = ""

    @property
    def name(self) -> str:
        """The file's name in the dump."""
        return self.path.name

    @property
    def kind(self) -> EntryKind:
        """Of its entries."""
        stem = self.name.removesuffix(".gz")
        return next(kind for kind, name in STEMS.items() if name == stem)

    def read(self) -> Iterator[bytes]:
        """Every line with its end; of one that is longer than MAX_LINE_BYTES the beginning.

        Raises: one of UNREADABLE.
        """
        self.rows, self.sha256 = 0, ""
        digest = hashlib.sha256()
        with _opened(self.path) as file:
            while line := file.readline(MAX_LINE_BYTES):
                digest.update(line)
                self.rows += 1
                yield line
                while len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                    digest.update(line)
        self.sha256 = digest.hexdigest()


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def why_unreadable(error: BaseException) -> str:
    """In words, for one of UNREADABLE."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be read: {str(error).rstrip('.')}"
