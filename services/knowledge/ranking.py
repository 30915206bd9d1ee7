"""Choosing the best positions of a leg, and fusing the legs' ranks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

LEXICAL = "lexical"
VECTOR = "vector"
"""The legs that rank entries."""

RANK_CONSTANT = 60
"""k of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

LEG_DEPTH = 50
"""How many of each leg's best take part in the fusion."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Fused(Generic[Key]):
    """One thing found, its fused score (> 0), and its rank (from 1) in each leg that has it."""

    key: Key
    score: float
    leg_ranks: dict[str, int]


def fuse(legs: Mapping[str, Sequence[Key]], weights: Mapping[str, float]) -> list[Fused[Key]]:
    """Weighted reciprocal rank fusion: score = sum over legs of weight / (60 + rank).

    Args:
        legs: per leg what it found, best first. A repeated key counts where it first stands.
        weights: per leg, at least 0. A leg of weight 0 takes no part.

    Returns:
        Best first; equal scores in the order of the first leg that names them.
    """
    scores: dict[Key, float] = {}
    ranks: dict[Key, dict[str, int]] = {}
    for leg, keys in legs.items():
        if not weights[leg]:
            continue
        for rank, key in enumerate(dict.fromkeys(keys), start=1):
            scores[key] = scores.get(key, 0.0) + weights[leg] / (RANK_CONSTANT + rank)
            ranks.setdefault(key, {})[leg] = rank
    best = sorted(scores, key=scores.__getitem__, reverse=True)
    return [Fused(key, scores[key], ranks[key]) for key in best]


def top(
    scores: NDArray[np.float32], k: int, *, among: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Positions of the k highest scores, best first, ties by position.

    Args:
        scores: shape (n,).
        k: at least 1; fewer come back when `among` has fewer.
        among: which positions may come back, shape (n,); None for all.
    """
    # Taken out rather than set to minus infinity: partitioning many equal numbers is slow.
    positions = None if among is None else np.flatnonzero(among)
    values = scores if positions is None else scores[positions]
    if k < len(values):
        good = np.flatnonzero(values >= np.partition(values, -k)[-k])
        positions = good if positions is None else positions[good]
        values = values[good]
    best = np.argsort(-values, kind="stable")[:k]
    return best if positions is None else positions[best]
