"""Intervals and tests for shares of right answers; plain formulas, held to published values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Z: Final = 1.959963984540054
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, both ends within."""

    low: float
    high: float


def wilson(right: int, n: int) -> Interval:
    """Of a share: `right` of `n` (Wilson 1927); 0 to 1 where there is nothing to count."""
    if n == 0:
        return Interval(0.0, 1.0)
    share, square = right / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # At the ends the formula is exact, its rounding is not.
    low = 0.0 if right == 0 else max(0.0, middle - half)
    high = 1.0 if right == n else min(1.0, middle + half)
    return Interval(low, high)


def mean_of_shares(counts: Sequence[tuple[int, int]]) -> tuple[float, Interval]:
    """The plain mean of several shares (right, n), each n above 0, with its interval.

    Zou and Donner (2008): the distances to each share's own limits add up in squares. Of one
    share it is Wilson's.
    """
    shares = [right / n for right, n in counts]
    limits = [wilson(right, n) for right, n in counts]
    below = math.hypot(*(share - one.low for share, one in zip(shares, limits, strict=True)))
    above = math.hypot(*(one.high - share for share, one in zip(shares, limits, strict=True)))
    mean = sum(shares) / len(shares)
    return mean, Interval(mean - below / len(shares), mean + above / len(shares))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of two systems being as good, from the pairs in which one is right.

    Binomial test on the discordant pairs (McNemar 1947, exact form); 1.0 without any.
    """
    discordant = only_first + only_second
    tail = sum(math.comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    # Whole numbers until the end: 2 ** 1304 is above what a float holds.
    return min(1.0, 2 * tail / (1 << discordant))


def difference(only_first: int, only_second: int, n: int) -> Interval:
    """Of second minus first over `n` pairs.

    Agresti and Min (2005): Wald's interval for matched pairs with half a pair added to each of
    the four cells; it keeps its 95 % for small n as well.
    """
    first, second, pairs = only_first + 0.5, only_second + 0.5, n + 2
    middle = (second - first) / pairs
    half = Z * math.sqrt(first + second - (second - first) ** 2 / pairs) / pairs
    return Interval(max(-1.0, middle - half), min(1.0, middle + half))
