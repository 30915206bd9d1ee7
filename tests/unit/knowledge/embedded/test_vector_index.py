from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from services.knowledge.embedded.vector_index import VectorIndex


@pytest.fixture(scope="module")
def matrix() -> NDArray[np.float32]:
    """Vectors as encoders make them: some directions carry far more than others."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 160)) * np.linspace(1, 0.05, 160) ** 2
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def exact(
    matrix: NDArray[np.float32],
    vector: NDArray[np.float32],
    depth: int,
    allowed: NDArray[np.bool_],
) -> list[int]:
    scores = np.vecdot(matrix, vector)
    positions = np.flatnonzero(allowed)
    return positions[np.argsort(-scores[positions], kind="stable")[:depth]].tolist()


def test_small_releases_are_compared_in_full(matrix: NDArray[np.float32]) -> None:
    index = VectorIndex(matrix)
    for vector in matrix[:20]:
        everything = np.ones(3000, dtype=bool)
        assert index.nearest(vector, 50).tolist() == exact(matrix, vector, 50, everything)


def test_the_short_first_pass_finds_nearly_all(matrix: NDArray[np.float32]) -> None:
    index = VectorIndex(matrix, project_from=1)
    hits = 0
    for vector in matrix[:100]:
        expected = exact(matrix, vector, 10, np.ones(3000, dtype=bool))
        found = index.nearest(vector, 10).tolist()
        assert found[0] == expected[0]
        hits += len(set(found) & set(expected))
    assert hits >= 990


@pytest.mark.parametrize("project_from", [1, 10_000])
def test_filters_come_before_the_cut(matrix: NDArray[np.float32], project_from: int) -> None:
    index = VectorIndex(matrix, project_from=project_from)
    allowed = np.zeros(3000, dtype=bool)
    allowed[[5, 1700, 2999]] = True
    found = index.nearest(matrix[0], 50, allowed).tolist()
    assert found == exact(matrix, matrix[0], 50, allowed)
    assert index.nearest(matrix[0], 50, np.zeros(3000, dtype=bool)).tolist() == []


@pytest.mark.parametrize("project_from", [1, 100_000])
def test_a_search_stays_in_its_thread(project_from: int) -> None:
    """BLAS threads that wait for each other made the slowest search a hundred times slower."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((15_000, 128), dtype=np.float32)
    index = VectorIndex(rows, project_from=project_from)
    time.sleep(0.3)  # those that helped to build it spin on for a moment
    process, thread = time.process_time(), time.thread_time()
    for row in rows[:100]:
        index.nearest(row, 10)
    process, thread = time.process_time() - process, time.thread_time() - thread
    assert process < 1.3 * thread
