"""What a teacher is asked when it is to solve a question (stage 1 of NesyCD).

Zero-shot chain of thought, as the paper asks GPT-3.5-turbo. The gold answer is not in it: a
rationale that was led to its answer proves nothing. The prompts of stage 3 stand in
training/distilling. All is one turn of the user's, since some chat templates refuse a system
turn.
"""

from __future__ import annotations

from typing import Final

from services.common.prompts import ANSWER_CUE, STEP_CUE
from training.teachers.protocol import Message

VERSION: Final = "1"
"""Changes whenever a byte of the messages does; stands in manifest and data card."""

_INSTRUCTION: Final = (
    "Solve the following question step by step, for a student who is to learn your way of "
    "solving it. Reason in a few short, plain sentences, in the order in which one has to think. "
    f'End with one sentence of the form "{ANSWER_CUE} X.", where X is the answer alone: of a '
    "multiple choice question the letter in parentheses, such as (A), and of a calculation the "
    "number without its unit."
)


def teach_messages(question: str) -> tuple[Message, ...]:
    """The conversation that asks for a rationale of a question, options included."""
    return (Message("user", f"{_INSTRUCTION}\n\nQuestion: {question}\n\n{STEP_CUE}"),)
