"""Loops: six times the same 4 to 32 tokens in a row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.student.offline.token_loops import ends_in_loop


def said_plainly(ids: list[int]) -> bool:
    return any(ids[-6 * length :] == ids[-length:] * 6 for length in range(4, 33))


@pytest.mark.parametrize("length", [4, 5, 31, 32])
@pytest.mark.parametrize("before", [0, 1, 50])
def test_six_times_the_same_is_a_loop(length: int, before: int) -> None:
    ids = [*range(100, 100 + before), *(list(range(length)) * 6)]
    assert ends_in_loop(ids)
    assert not any(ends_in_loop(ids[:end]) for end in range(1, len(ids)))


@pytest.mark.parametrize("length", [2, 3, 33])
def test_shorter_and_longer_pieces_are_none(length: int) -> None:
    assert not ends_in_loop(list(range(length)) * 7)


@given(
    st.lists(st.integers(0, 3), max_size=20),
    st.lists(st.integers(0, 3), min_size=1, max_size=33),
    st.integers(1, 8),
    st.integers(0, 3),
)
def test_the_rule_is_the_plain_one(
    before: list[int], piece: list[int], times: int, cut: int
) -> None:
    ids = before + piece * times
    ids = ids[: len(ids) - cut] or [0]
    assert ends_in_loop(ids) == said_plainly(ids)
