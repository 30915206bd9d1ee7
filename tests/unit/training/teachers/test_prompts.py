from __future__ import annotations

from services.common.prompts import ANSWER_CUE
from training.teachers.prompts import VERSION, teach_messages


def test_the_prompt_is_the_one_of_its_version() -> None:
    (message,) = teach_messages("2 + 2?\nOptions:\n(A) 4")
    assert VERSION == "1"
    assert message.role == "user"
    assert message.text == (
        "Solve the following question step by step, for a student who is to learn your way of "
        "solving it. Reason in a few short, plain sentences, in the order in which one has to "
        'think. End with one sentence of the form "Therefore, the answer is X.", where X is the '
        "answer alone: of a multiple choice question the letter in parentheses, such as (A), and "
        "of a calculation the number without its unit.\n\n"
        "Question: 2 + 2?\nOptions:\n(A) 4\n\n"
        "Let's think step by step."
    )
    assert ANSWER_CUE in message.text
