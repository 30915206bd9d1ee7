"""Draws by hash: the same for the same key and seed, whatever else is in the file.

So adding questions moves no other question from one part to another.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from training.row_file import Row

AnyRow = TypeVar("AnyRow", bound=Row)

TEST_SHARE: Final = 0.2


def place(key: str, *, salt: str, seed: int) -> float:
    """Where a key falls between 0 and 1; draws of different salts have nothing in common."""
    digest = hashlib.sha256(f"{salt}\0{seed}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def evenly(
    rows: Sequence[AnyRow], count: int | None, *, group: Callable[[AnyRow], str], seed: int
) -> list[AnyRow]:
    """Draws `count` rows, as many of each group as there are or as fit; None draws all.

    Those drawn keep their order, and a larger count draws the same ones and more.
    """
    if count is None or count >= len(rows):
        return list(rows)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[group(row)].append(number)

    def falls(number: int) -> float:
        return place(rows[number].key, salt="draw", seed=seed)

    # In rounds: every group gives one, then every group that has more gives a second one.
    turns = [
        (turn, falls(number), number)
        for members in groups.values()
        for turn, number in enumerate(sorted(members, key=falls))
    ]
    return [rows[number] for number in sorted(number for *_, number in sorted(turns)[:count])]


def kept_for_test(keys: Sequence[str]) -> frozenset[str]:
    """The keys of one task that are kept for testing: those of the lowest checksums.

    A fifth of them, rounded up, as in the paper's split of BBH (1,304 of 6,511); the keys are
    chosen as in the project's own files, so both give the same split.
    """
    ordered = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    return frozenset(ordered[: math.ceil(TEST_SHARE * len(keys))])
