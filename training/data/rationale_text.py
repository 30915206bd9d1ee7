r"""Rationales as text: what they say, what they conclude, and the one form they are fitted in.

Teachers end their rationales each in their own way: "So the answer is False.", "Therefore, the
answer is <203>.", "#### 72". The student learns one: the reasoning, then on a line of its own
"Therefore, the answer is GOLD.", which services/common/answers.py reads.
"""

from __future__ import annotations

import re
from typing import Final

from services.common import answers
from services.common.prompts import ANSWER_CUE, STEP_CUE

_CALCULATOR: Final = re.compile(r"<<[^<>\n]*=[^<>\n]*>>")
_FINAL_MARK: Final = re.compile(r"^\s*####(?P<answer>[^\n]*)\Z", re.MULTILINE)
_STEP_CUES: Final = re.compile(rf"\A(?:\s*{re.escape(STEP_CUE)})+")
_ANSWER_SENTENCE: Final = re.compile(
    r"(?:(?<=[.!?:;)\]\"'])|^)[ \t]*(?:and\s+)?"
    r"(?:(?:so|thus|hence|then|therefore|consequently|accordingly)\b,?\s*)?"
    r"(?:the (?:(?:final|correct|right) )?answer(?: to (?:the|this) (?:question|problem))? is\b"
    r"|\\boxed\b)",
    re.IGNORECASE | re.MULTILINE,
)


def without_calculator_marks(text: str) -> str:
    """GSM8K's solutions without what its calculator was told: "48/2 = <<48/2=24>>24"."""
    return _CALCULATOR.sub("", text).strip()


def answer_of(text: str) -> str:
    """What a rationale concludes; "" when it does not say."""
    found = answers.extract(text)
    if found:
        return found
    mark = _FINAL_MARK.search(text.rstrip())
    return answers.clean(mark["answer"]) if mark else ""


def reasoning_of(text: str) -> str:
    """A rationale without its answer sentence at the end, and without the cue that asked for it.

    What follows the last answer sentence goes with it. One that gives a reason in the same
    sentence ("since 5 > 3, the answer is 5") is reasoning, and stays.
    """
    text = _STEP_CUES.sub("", without_calculator_marks(text))
    text = _FINAL_MARK.sub("", text.strip())
    sentences = list(_ANSWER_SENTENCE.finditer(text))
    if sentences and answers.extract(text) == answers.extract(text[sentences[-1].start() :]):
        text = text[: sentences[-1].start()]
    return text.strip()


def normalised(reasoning: str, gold: str) -> str:
    """The form in which a rationale is fitted."""
    return f"{reasoning}\n{ANSWER_CUE} {gold}."
