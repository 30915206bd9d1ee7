"""Finds entries that say nearly the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.knowledge.protocol import Vector

ROWS = 1024
COLUMNS = 8192
"""Similarities are computed ROWS x COLUMNS at a time: 32 MiB, however many entries there are."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Two entries, the first by id first, and the cosine similarity of their vectors."""

    first: str
    second: str
    similarity: float


def near_duplicates(
    ids: Sequence[str],
    vectors: Vector,
    *,
    threshold: float = 0.95,
    k: int = 5,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[NearDuplicates]:
    """Compares every entry with every other one, exactly.

    Takes time with the square of the number of entries: seconds for ten thousand, a minute or
    two for a hundred thousand.

    Args:
        ids: of the entries, in code point order.
        vectors: theirs, unit length, float32 of shape (len(ids), dimension).
        threshold: least similarity of a pair, from -1 to 1.
        k: most pairs in which an entry is the first: a hundred copies are not 4,950 pairs.
        on_progress: called with the number of entries just compared with all behind them.

    Returns:
        The pairs, the most similar first, then by ids.
    """
    found: list[NearDuplicates] = []
    for start in range(0, len(ids), ROWS):
        pairs = _pairs_of_block(vectors, start, threshold, k)
        places = zip(pairs.rows.tolist(), pairs.columns.tolist(), strict=True)
        found += [
            NearDuplicates(ids[first], ids[second], similarity)
            for (first, second), similarity in zip(places, pairs.scores.tolist(), strict=True)
        ]
        on_progress(min(ROWS, len(ids) - start))
    return sorted(found, key=lambda pair: (-pair.similarity, pair.first, pair.second))


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs by the places of their entries."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: Vector


def _pairs_of_block(vectors: Vector, start: int, threshold: float, k: int) -> _Pairs:
    """The pairs whose first entry is one of the ROWS from `start` on."""
    block = vectors[start : start + ROWS]
    nothing = np.empty(0, dtype=np.int64)
    pairs = _Pairs(nothing, nothing, np.empty(0, dtype=np.float32))
    for begin in range(start, len(vectors), COLUMNS):
        scores = block @ vectors[begin : begin + COLUMNS].T
        alike = scores >= threshold
        if begin < start + ROWS:
            first, second = np.indices(scores.shape, sparse=True)
            alike &= second + begin > first + start
        if np.count_nonzero(alike) > k * len(block):
            alike &= _among_best(np.where(alike, scores, -np.inf), k)
        rows, columns = np.nonzero(alike)
        if len(rows):
            pairs = _Pairs(
                np.concatenate((pairs.rows, rows + start)),
                np.concatenate((pairs.columns, columns + begin)),
                np.concatenate((pairs.scores, scores[rows, columns])),
            )
            pairs = _best(pairs, k)
    return pairs


def _among_best(scores: Vector, k: int) -> NDArray[np.bool_]:
    """Which scores are among the k best of their row; of equal ones any may be."""
    best = np.argpartition(scores, -min(k, scores.shape[1]), axis=1)[:, -k:]
    among = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(among, best, True, axis=1)
    return among


def _best(pairs: _Pairs, k: int) -> _Pairs:
    """Of each row its k best pairs, by row."""
    order = np.lexsort((pairs.columns, -pairs.scores, pairs.rows))
    rows = pairs.rows[order]
    begins = np.searchsorted(rows, rows)  # where the pairs of the same row begin
    order = order[np.arange(len(rows)) - begins < k]
    return _Pairs(pairs.rows[order], pairs.columns[order], pairs.scores[order])
