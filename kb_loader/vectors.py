"""vectors.npy: the entries' embeddings, so that a load need not compute them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib import format as npy

from kb_loader.manifest import VECTORS
from kb_loader.problems import Problems
from services.knowledge.protocol import Vector

CHUNK: Final = 8192
"""Vectors looked at together."""

_TOLERANCE: Final = 1e-3


def header(rows: int, dimension: int) -> bytes:
    """How the file begins; after it come the vectors, row by row."""
    buffer = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    npy.write_array_header_1_0(buffer, shape)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def open_vectors(path: Path) -> Vector:
    """Maps the file into memory. Raises: OSError or ValueError when it is not one of numbers."""
    vectors: Vector = npy.open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
    return vectors


def check_vectors(folder: Path, rows: int, dimension: int, problems: Problems) -> str:
    """Notes what is wrong with a dump's vectors.

    Args:
        folder: of the dump.
        rows: how many there must be.
        dimension: numbers in each.
        problems: gets them; a vector's place is vectors.npy:ROW, from 1.

    Returns:
        The file's sha256; "" when it cannot be read.
    """
    try:
        vectors = open_vectors(folder / VECTORS)
        with (folder / VECTORS).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        problems.add(VECTORS, f"cannot be read: {what}")
        return ""
    wanted = (rows, dimension)
    if vectors.shape != wanted or vectors.dtype != np.dtype("<f4"):
        problems.add(VECTORS, f"{wanted} float32 expected, got {vectors.shape} {vectors.dtype}")
        return sha256
    for start in range(0, rows, CHUNK):
        lengths = np.linalg.norm(vectors[start : start + CHUNK], axis=1)
        # Written so that a length that is no number is wrong too.
        for row in np.flatnonzero(~(np.abs(lengths - 1) <= _TOLERANCE)):
            problems.add(f"{VECTORS}:{start + row + 1}", f"length 1 expected, got {lengths[row]}")
    return sha256
