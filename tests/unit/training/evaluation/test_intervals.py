"""Intervals and tests against published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.intervals import difference, mcnemar, mean_of_shares, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Brown, Cai and DasGupta 2001
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998a, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(right: int, n: int, low: float, high: float) -> None:
    interval = wilson(right, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_nothing_counted_says_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    right, n = counts
    interval = wilson(right, n)
    assert 0 <= interval.low <= right / n <= interval.high <= 1
    mirrored = wilson(n - right, n)
    assert math.isclose(interval.low, 1 - mirrored.high, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [
        (5, 15, 0.0414),  # binomial test of 5 in 20
        (15, 5, 0.0414),
        (0, 6, 0.0312),
        (4, 4, 1.0),
        (0, 0, 1.0),
        (86, 150, 3.7e-05),  # Agresti 2002, table 10.1: z = -4.17
    ],
)
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int, p: float) -> None:
    assert mcnemar(lost, gained) == pytest.approx(p, rel=0.02)


def test_mcnemar_holds_for_more_pairs_than_a_float_can_count() -> None:
    assert mcnemar(1000, 1000) == 1.0
    assert 0 <= mcnemar(0, 2000) < 1e-300


def test_a_difference_of_pairs_is_the_published_one() -> None:
    # Agresti 2002, section 10.1.1: approval 944 and 880 of 1600, difference 0.04, 0.021 to 0.059.
    interval = difference(86, 150, 1600)
    assert interval.low == pytest.approx(0.021, abs=0.0007)
    assert interval.high == pytest.approx(0.059, abs=0.0007)


def test_a_difference_without_discordant_pairs_is_still_uncertain() -> None:
    interval = difference(0, 0, 10)
    assert interval.low < 0 < interval.high


def test_a_mean_over_tasks_weighs_each_task_alike() -> None:
    mean, interval = mean_of_shares([(10, 10), (0, 90)])
    assert mean == 0.5
    assert 0.35 < interval.low < 0.5 < interval.high < 0.55


def test_a_mean_over_one_task_has_the_tasks_own_interval() -> None:
    mean, interval = mean_of_shares([(5, 5)])
    assert mean == 1
    assert interval.low == pytest.approx(wilson(5, 5).low)
    assert interval.high == 1
