from __future__ import annotations

import numpy as np
import pytest

from services.knowledge import duplicates
from services.knowledge.duplicates import near_duplicates
from services.knowledge.protocol import Vector


def unit(rows: int, dimension: int = 8, *, seed: int = 0) -> Vector:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ids(rows: int) -> list[str]:
    return [f"n{row:05}" for row in range(rows)]


def by_hand(vectors: Vector, threshold: float) -> set[tuple[str, str]]:
    scores = vectors @ vectors.T
    names = ids(len(vectors))
    return {
        (names[row], names[column])
        for row in range(len(vectors))
        for column in range(row + 1, len(vectors))
        if scores[row, column] >= threshold
    }


def test_every_pair_above_the_threshold_is_found_once_across_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "ROWS", 7)
    monkeypatch.setattr(duplicates, "COLUMNS", 11)
    vectors = unit(100)
    found = near_duplicates(ids(100), vectors, threshold=0.7, k=100)
    assert {(pair.first, pair.second) for pair in found} == by_hand(vectors, 0.7)
    assert len(found) == len(by_hand(vectors, 0.7)) > 10


def test_the_most_similar_come_first() -> None:
    found = near_duplicates(ids(100), unit(100), threshold=0.6)
    similarities = [pair.similarity for pair in found]
    assert similarities == sorted(similarities, reverse=True)
    assert all(0.6 <= one <= 1.0001 for one in similarities)


def test_of_many_copies_each_is_first_in_at_most_k_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "ROWS", 7)
    monkeypatch.setattr(duplicates, "COLUMNS", 11)
    found = near_duplicates(ids(60), np.repeat(unit(1), 60, axis=0), k=3)
    firsts = [pair.first for pair in found]
    assert max(firsts.count(one) for one in set(firsts)) == 3
    assert set(firsts) == set(ids(59))
    assert all(pair.first < pair.second for pair in found)


def test_k_keeps_the_most_similar_ones() -> None:
    vectors = unit(300, 4)
    best = vectors[0] @ vectors[1:].T
    found = near_duplicates(ids(300), vectors, threshold=-1, k=4)
    of_first = [pair.second for pair in found if pair.first == "n00000"]
    assert of_first == [f"n{place + 1:05}" for place in np.argsort(-best)[:4]]


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_is_like_itself(rows: int) -> None:
    assert near_duplicates(ids(rows), unit(rows)) == []


def test_progress_counts_every_entry() -> None:
    seen: list[int] = []
    near_duplicates(ids(2100), unit(2100), on_progress=seen.append)
    assert sum(seen) == 2100
