"""Lines of a JSON Lines file from outside, compressed or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from services.common.errors import ConfigurationError


def read_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line that is not blank, with its place, "FILE:LINE".

    Raises: ConfigurationError when the file is missing, damaged, or holds no line.
    """
    count = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    count += 1
                    yield f"{path}:{number}", line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigurationError(f"{path} is no whole gzip file: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    if not count:
        raise ConfigurationError(f"{path} is empty")
