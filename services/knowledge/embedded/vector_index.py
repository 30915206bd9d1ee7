"""The vector leg: nearest neighbours by cosine, exact scores throughout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.knowledge.protocol import Vector
from services.knowledge.ranking import top

PROJECT_FROM = 20_000
"""Entries from which a first pass over shorter vectors pays; below, all are compared in full."""

PROJECTED_DIMENSION = 96

RESCORED = 512
"""Candidates of the first pass whose full vectors are compared."""

_BLOCK = 1024
_SAMPLE = 20_000


class VectorIndex:
    """Cosine similarity over one release's vectors.

    Reading 100,000 vectors of 384 float32 (154 MB) for each query would take most of the
    time a search may take. Large releases are therefore compared twice: all entries in the
    96 directions of greatest variance (principal components, not centred, so that the
    product stays the best low-rank estimate of the cosine), then the 512 best in full.
    bench/retrieval.py measures what that misses. Immutable: threads may share it.

    Args:
        matrix: unit rows, shape (n, dimension), float32.
        project_from: for tests and measurements.
        directions: those of a release that is nearly the same, since finding them takes long.
    """

    def __init__(
        self,
        matrix: Vector,
        *,
        project_from: int = PROJECT_FROM,
        directions: Vector | None = None,
    ) -> None:
        self._matrix = matrix
        self.directions: Vector | None = None
        if len(matrix) >= project_from and matrix.shape[1] > PROJECTED_DIMENSION:
            self.directions = _principal(matrix) if directions is None else directions
            self._blocks = _in_blocks(matrix @ self.directions)

    def nearest(
        self, vector: Vector, depth: int, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.intp]:
        """Positions of the nearest entries, best first, ties by position.

        Args:
            vector: shape (dimension,), length 1.
            depth: at most this many; fewer when fewer are allowed.
            allowed: shape (n,); None allows all.
        """
        if self.directions is None:
            return top(np.vecdot(self._matrix, vector), depth, among=allowed)
        # A product per block, and `vecdot` elsewhere: a product with the whole matrix spreads
        # over BLAS threads that wait for each other, and next to a student that keeps all
        # processors busy the slowest search then takes a second.
        products = np.matmul(vector @ self.directions, self._blocks)
        estimates = products.reshape(-1)[: len(self._matrix)]
        candidates = np.sort(top(estimates, max(RESCORED, 4 * depth), among=allowed))
        return candidates[top(np.vecdot(self._matrix[candidates], vector), depth)]


def _in_blocks(matrix: Vector) -> NDArray[np.float32]:
    """The rows 1,024 at a time, each block transposed: shape (blocks, dimension, 1024)."""
    padding = -len(matrix) % _BLOCK
    padded = np.pad(matrix, ((0, padding), (0, 0)))
    blocks = padded.reshape(-1, _BLOCK, matrix.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(blocks)


def _principal(matrix: Vector) -> Vector:
    """The directions of greatest variance, shape (dimension, PROJECTED_DIMENSION)."""
    sample = matrix[:: max(1, len(matrix) // _SAMPLE)]
    _, directions = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(directions[:, -PROJECTED_DIMENSION:], dtype=np.float32)
