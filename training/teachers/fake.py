"""A teacher without a model: a function from prompt to reply, for trials and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from services.common.prompts import ANSWER_CUE
from training.teachers.protocol import Prompt, Reply

MODEL_NAME: Final = "scripted"

Script = Callable[[Prompt], str]
"""From what is asked to what is written. It may raise what `Teacher.write` raises."""

_LESSON = (
    "Learning Summary:\n"
    "- Read the whole question before the first step.\n"
    "- Check each step against what is given.\n"
    "Supplementary Knowledge:\n"
    "- A sum does not depend on the order of its terms."
)


def default_script(prompt: Prompt) -> str:
    """Answers 42 to every question; asked for supplementary knowledge, it writes a lesson."""
    asked = " ".join(message.text for message in prompt.messages).casefold()
    if "supplementary knowledge" in asked:
        return _LESSON
    return f"Let me think. {ANSWER_CUE} 42."


class ScriptedTeacher:
    """A `Teacher` that follows a script. It counts words as tokens."""

    def __init__(self, script: Script = default_script) -> None:
        self._script = script

    async def write(self, prompt: Prompt) -> Reply:
        """Replies; see `Teacher.write`. Raises: what the script raises."""
        await asyncio.sleep(0)  # others get their turn, as with a real teacher
        words = self._script(prompt).strip().split(" ")
        return Reply(
            text=" ".join(words[: prompt.max_new_tokens]),
            model=MODEL_NAME,
            finish_reason="length" if len(words) > prompt.max_new_tokens else "stop",
            prompt_tokens=sum(len(message.text.split()) for message in prompt.messages),
            completion_tokens=min(len(words), prompt.max_new_tokens),
        )

    async def close(self) -> None:
        """Nothing to let go of."""
