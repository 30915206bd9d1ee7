"""What counts as a loop, and what as a rationale that repeats itself rightly."""

import pytest

from training.repetition import is_repetitive


@pytest.mark.parametrize(
    "text",
    [
        "no " * 60,
        "We add one and one. " * 12,
        "A good start. " + "So the next step is to look at the next step, " * 8,
        "( " * 60,
    ],
)
def test_the_same_words_over_and_over_are_a_loop(text):
    assert is_repetitive(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "There are 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 objects. Therefore, the answer is 10.",
        "( ( ( [ [ ] ] ) ) ) { } < > ( ( ( [ [ ] ] ) ) )",
        " ".join(f"Step {n}: turn left, then take {n} steps." for n in range(40)),
        "no " * 20,
    ],
)
def test_lists_sums_and_steps_are_not(text):
    assert not is_repetitive(text)


def test_a_long_text_is_looked_at_quickly():
    assert not is_repetitive(" ".join(str(n) for n in range(20_000)))
