"""How questions are dealt out to folds."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.training.students import question
from training.folds import assign_folds

ON_A_BUSY_MACHINE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

QUESTIONS = [question(n, task=f"task{n % 3}") for n in range(60)]


def test_folds_are_of_equal_size_and_so_are_the_tasks_in_them():
    folds = assign_folds(QUESTIONS, 4, seed=0)
    assert Counter(folds.values()) == dict.fromkeys(range(4), 15)
    by_task = Counter((one.task, folds[one.key]) for one in QUESTIONS)
    assert set(by_task.values()) == {5}


def test_a_seed_gives_the_same_folds_in_any_order_and_another_one_others():
    assert assign_folds(QUESTIONS, 4, seed=1) == assign_folds(QUESTIONS[::-1], 4, seed=1)
    assert assign_folds(QUESTIONS, 4, seed=1) != assign_folds(QUESTIONS, 4, seed=2)


@ON_A_BUSY_MACHINE
@given(st.integers(2, 10), st.text("abc", max_size=50))
def test_every_question_is_in_one_fold(folds, tasks):
    questions = [question(n, task=task) for n, task in enumerate(tasks)]
    found = assign_folds(questions, folds, seed=0)
    assert set(found) == {one.key for one in questions}
    sizes = Counter(found.values())
    assert all(0 <= fold < folds for fold in sizes)
    assert max(sizes.values(), default=0) - min((sizes[n] for n in range(folds)), default=0) <= 1
