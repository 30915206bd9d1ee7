from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from services.knowledge.ranking import Fused, fuse, top


def test_fuses_ranks_as_computed_by_hand() -> None:
    fused = fuse({"vector": ["a", "b"], "lexical": ["b", "c"]}, {"vector": 0.7, "lexical": 0.3})
    assert [found.key for found in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx(0.7 / 62 + 0.3 / 61)
    assert fused[1] == Fused("a", 0.7 / 61, {"vector": 1})
    assert fused[2] == Fused("c", 0.3 / 62, {"lexical": 2})
    assert fused[0].leg_ranks == {"vector": 2, "lexical": 1}


def test_first_in_both_legs_gets_both_weights() -> None:
    fused = fuse({"vector": ["a"], "lexical": ["a"]}, {"vector": 0.5, "lexical": 0.5})
    assert fused == [Fused("a", pytest.approx(1 / 61), {"vector": 1, "lexical": 1})]


def test_a_repeated_key_counts_once_where_it_first_stands() -> None:
    fused = fuse({"vector": ["a", "a", "b"]}, {"vector": 1.0})
    assert [(found.key, found.leg_ranks) for found in fused] == [
        ("a", {"vector": 1}),
        ("b", {"vector": 2}),
    ]


def test_a_leg_of_weight_zero_takes_no_part() -> None:
    fused = fuse({"vector": ["a"], "lexical": ["b"]}, {"vector": 1.0, "lexical": 0.0})
    assert [found.key for found in fused] == ["a"]


def test_equal_scores_keep_the_order_of_the_first_leg() -> None:
    fused = fuse({"vector": ["b", "a"], "lexical": ["a", "b"]}, {"vector": 1.0, "lexical": 1.0})
    assert [found.key for found in fused] == ["b", "a"]


def test_no_legs_and_empty_legs_find_nothing() -> None:
    assert fuse({}, {}) == []
    assert fuse({"vector": []}, {"vector": 1.0}) == []


@given(
    scores=arrays.arrays(np.float32, st.integers(0, 60), elements=st.sampled_from([0, 1, 2, 3.5])),
    k=st.integers(1, 70),
    data=st.data(),
)
def test_top_equals_a_full_stable_sort(
    scores: NDArray[np.float32], k: int, data: st.DataObject
) -> None:
    among = data.draw(st.none() | arrays.arrays(np.bool_, len(scores)))
    positions = [i for i in range(len(scores)) if among is None or among[i]]
    expected = sorted(positions, key=lambda i: (-scores[i], i))[:k]
    assert top(scores, k, among=among).tolist() == expected
