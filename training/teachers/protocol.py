"""What the stages need of a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from services.common.errors import NesycdError


class NoReplyError(NesycdError):
    """This one request failed, and others need not: its row gets the message as its `error`."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a teacher is asked.

    Attributes:
        messages: the conversation; the teacher writes the assistant's next turn.
        max_new_tokens: at least 1.
        temperature: 0 for the likeliest text, up to 2. Teachers that are greedy by nature
            (`local`, `recorded`, `scripted`) do not look at it.
        question: key of the question that this is about.
        sample: which of several replies to the same messages, from 0.
    """

    messages: tuple[Message, ...]
    max_new_tokens: int
    temperature: float = 0.0
    question: str = ""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a teacher wrote.

    Attributes:
        text: as it was written, but for white space at both ends; may be empty.
        model: who wrote it, for the row and the data card.
        finish_reason: "stop" where the teacher ended by itself, "length" where it was cut off,
            or what else an endpoint says.
        prompt_tokens: read; 0 where nobody counted.
        completion_tokens: written; 0 where nobody counted.
    """

    text: str
    model: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Teacher(Protocol):
    """A writer of texts. All implementations pass tests/unit/training/teachers/teacher_suite.py.

    `factory.open_teacher` opens the one that a configuration names.
    """

    async def write(self, prompt: Prompt) -> Reply:
        """Replies. Called for many prompts at a time; the teacher bounds what it has in flight.

        Raises:
            NoReplyError: there is no reply to this prompt; others may still get one.
            NesycdError: of any other class: the work as a whole cannot go on.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections and models. Safe to call twice."""
        ...
