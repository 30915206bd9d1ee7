"""What makes a lesson useless or harmful for other questions."""

import pytest

from training.distilling.checks import check_lines, check_own, copied_from_examples, leaked_by
from training.distilling.lessons import Lines, RefusedError
from training.rows import Question


def question(text, gold):
    return Question(key="k", dataset="bbh", task="t", text=text, gold=gold)


CHOICE = question(
    "Alice has 37 apples and swaps balls with Bob. Which ball has Alice?\nOptions:\n"
    "(A) the red ball\n(B) the green ball\n(C) blue",
    "(B)",
)
VERDICT = question("Turn left. Take 5 steps. Do you return? Options:\n- Yes\n- No", "Yes")
NUMBER = question("12 boxes of 37 hold how many?", "444")
SORTING = question(
    "Sort the following words alphabetically: List: yolk abode crumb", "abode crumb yolk"
)
BRACKETS = question("Complete the rest of the sequence. Input: [ { (", ") } ]")
FALLACY = question("Is the argument deductively valid or invalid?", "invalid")


@pytest.mark.parametrize(
    ("asked", "text", "leaked"),
    [
        (CHOICE, "Alice swaps first.", ("Alice",)),
        (CHOICE, "There are 37 of them.", ("37",)),
        (CHOICE, "Look at (B).", ("(B)",)),
        (CHOICE, "So (C) cannot be.", ("(C)",)),
        (CHOICE, "Choose option B.", ("(B)",)),
        (CHOICE, "In the end she holds the Green Ball.", ("the green ball",)),
        (CHOICE, "The answer is (B).", ("the answer is (B)", "(B)")),
        (VERDICT, "Therefore, the answer is Yes.", ("the answer is Yes",)),
        (NUMBER, "The product is 444.", ("444",)),
        (NUMBER, "Multiply 37 by the boxes.", ("37",)),
        (NUMBER, "The answer is 444.", ("444", "the answer is 444")),
        (SORTING, "Here it is abode, crumb, yolk.", ("abode crumb yolk",)),
        (BRACKETS, "Close with )}] at the end.", (") } ]",)),
        (FALLACY, "The answer is invalid.", ("the answer is invalid",)),
    ],
)
def test_what_belongs_to_one_question_is_found(asked, text, leaked):
    assert leaked_by(["Read it all.", text], asked) == leaked


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (CHOICE, "Track every swap in order, one line for each person."),
        (CHOICE, "Blue, red and green are colours. P(A) is a probability."),
        (CHOICE, "A ball changes hands with each swap."),
        (VERDICT, "The answer is Yes if both sums are 0; otherwise it is No."),
        (VERDICT, "Turning right four times gives the first direction. Yes or no is asked."),
        (NUMBER, "Multiply the boxes by what each holds; 100 percent is all of it."),
        (SORTING, "Compare first letters, then second letters."),
        (BRACKETS, "Each opening bracket ( [ { < has its closing one."),
        (FALLACY, "An argument is valid if its conclusion follows, else invalid."),
    ],
)
def test_general_words_are_no_leak(asked, text):
    assert leaked_by([text], asked) == ()


def test_a_good_lesson_passes():
    check_lines(Lines(("Track every swap.",), ("A swap changes two places.",)), CHOICE)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (("x" * 2001,), "limits: learning_summary.0: String should have at most 2000 characters"),
        (("bad \x07 bell",), "limits: learning_summary.0: holds the control character '\\x07'"),
        (tuple(f"{n} is so, as it is so." * 9 for n in range(2)), "repetition: it says the same"),
        (("Alice has 37.",), "leak: it mentions '37', 'Alice', which belongs to this question"),
    ],
)
def test_what_is_no_lesson_is_refused(points, reason):
    with pytest.raises(RefusedError) as caught:
        check_lines(Lines(points, ("A swap changes two places.",)), CHOICE)
    assert str(caught.value).startswith(reason)


def test_a_point_of_the_worked_examples_is_refused_and_told():
    copied = "list the four ways in which the copies combine, and count"
    with pytest.raises(RefusedError, match=f"copy: it repeats .*'{copied}'; write of this kind"):
        check_own(Lines(("Look at each step.", copied), ("A sum has terms.",)))


def test_only_whole_points_count_as_copied():
    assert (
        copied_from_examples(["List the four ways.", "Power is one volt times one ampere."]) == ()
    )
