from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.data.questions import question
from training.data import draws
from training.rows import Question

QUESTIONS = [
    question(number, task)
    for task, count in (("navigate", 40), ("snarks", 3), ("hyperbaton", 40))
    for number in range(1, count + 1)
]


def drawn(count: int | None, *, seed: int = 0, of: list[Question] | None = None) -> list[Question]:
    return draws.evenly(of or QUESTIONS, count, group=lambda one: one.task, seed=seed)


def test_a_draw_is_even_over_the_tasks_as_far_as_there_are_questions() -> None:
    assert Counter(one.task for one in drawn(33)) == {
        "navigate": 15,
        "hyperbaton": 15,
        "snarks": 3,
    }


@given(st.integers(1, 90), st.integers(0, 3))
def test_a_draw_has_as_many_as_asked_in_their_order_and_a_larger_one_has_them_too(
    count: int, seed: int
) -> None:
    few = [one.key for one in drawn(count, seed=seed)]
    assert len(few) == min(count, len(QUESTIONS))
    assert few == [one.key for one in QUESTIONS if one.key in few]
    assert set(few) <= {one.key for one in drawn(count + 1, seed=seed)}


def test_all_are_drawn_when_no_count_is_given() -> None:
    assert drawn(None) == QUESTIONS


def test_another_seed_draws_others() -> None:
    assert drawn(20, seed=1) != drawn(20, seed=2)


def test_places_fill_the_range_evenly_and_differ_by_salt() -> None:
    places = [draws.place(f"q{number}", salt="dev", seed=0) for number in range(2000)]
    assert all(0 <= one < 1 for one in places)
    assert 0.22 < sum(one < 0.25 for one in places) / len(places) < 0.28
    assert draws.place("q1", salt="draw", seed=0) != places[1]


def test_the_split_of_bbh_is_that_of_the_projects_files() -> None:
    keys = [f"bbh-boolean_expressions-{number:05}" for number in range(1, 251)]
    kept = draws.kept_for_test(keys)
    assert len(kept) == 50
    assert min(kept) == "bbh-boolean_expressions-00007"
    assert len(draws.kept_for_test(keys[:146])) == 30  # a fifth, rounded up
