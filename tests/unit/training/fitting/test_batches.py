from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.fitting.batches import WINDOW, MicroBatches, plan_epoch

LENGTHS = st.lists(st.integers(1, 900), min_size=1, max_size=200)


@given(lengths=LENGTHS, batch_size=st.integers(1, 16), seed=st.integers(0, 9))
def test_every_row_comes_once_an_epoch(lengths: list[int], batch_size: int, seed: int) -> None:
    updates = plan_epoch(lengths, batch_size=batch_size, seed=seed, epoch=0)
    assert sorted(chain(*updates)) == list(range(len(lengths)))
    assert sorted(map(len, updates), reverse=True)[:-1] == [batch_size] * (len(updates) - 1)


def test_the_same_seed_and_epoch_give_the_same_order_and_others_another() -> None:
    lengths = list(range(100))
    plans = [
        plan_epoch(lengths, batch_size=8, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]
    assert plans[0] != plans[3]


def test_rows_of_an_update_are_alike_in_length() -> None:
    lengths = list(range(8 * WINDOW))
    for update in plan_epoch(lengths, batch_size=8, seed=0, epoch=0):
        assert max(update) - min(update) == 7


@given(lengths=LENGTHS, seed=st.integers(0, 9))
def test_processes_share_the_very_updates_of_one_process(lengths: list[int], seed: int) -> None:
    def batches(process: int, processes: int, size: int) -> list[list[int]]:
        one = MicroBatches(
            lengths,
            batch_size=8,
            micro_batch_size=size,
            seed=seed,
            process=process,
            processes=processes,
        )
        assert len(list(one)) == len(one)
        return list(one)

    alone, first, second = batches(0, 1, 8), batches(0, 2, 2), batches(1, 2, 2)
    assert len(first) == len(second) == 2 * len(alone)
    for number, update in enumerate(alone):
        shared = chain(*first[2 * number : 2 * number + 2], *second[2 * number : 2 * number + 2])
        assert sorted(shared) == sorted(update)


def test_an_update_with_too_few_rows_is_filled_up_with_the_filler() -> None:
    (update,) = MicroBatches([5, 3, 4], batch_size=8, micro_batch_size=8, seed=0)
    assert update == [3, 3, 3, 3, 3, 1, 2, 0]


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4, 8])
def test_an_update_has_as_many_passes_as_fill_it(micro_batch_size: int) -> None:
    batches = MicroBatches([1] * 20, batch_size=8, micro_batch_size=micro_batch_size, seed=0)
    assert (batches.updates, batches.per_update) == (3, 8 // micro_batch_size)
    assert len(batches) == 3 * batches.per_update
