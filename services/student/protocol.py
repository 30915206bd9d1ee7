"""What the reasoner needs of a student model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class FinishReason(StrEnum):
    """Why a completion ended: a stop string or end of text, or the token limit."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode. Always greedy: the score of record is greedy, and a seed kills a CPU engine.

    Attributes:
        max_new_tokens: at least 1.
        stop: strings that end the completion; not part of its text.
        with_gaps: report top1 - top2 probability gaps, for the confidence gate.
        streamed: deltas as they are made; otherwise one delta at the end, which costs
            far less on every hop.
    """

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    with_gaps: bool = False
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class TokenGap:
    """One written token: its text, and p(best) - p(second best) at its place, 0 to 1."""

    text: str
    gap: float


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a completion.

    Attributes:
        text: what is new; may be empty in the last delta only.
        completion_tokens: tokens written since the delta before.
        prompt_tokens: tokens read; set in the last delta, 0 before.
        gaps: one per token of this delta when `Sampling.with_gaps`, otherwise empty.
        finish_reason: set in the last delta, None before.
    """

    text: str
    completion_tokens: int
    prompt_tokens: int = 0
    gaps: tuple[TokenGap, ...] = ()
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """One adapter version in the adapter folder; `refusal` says why it cannot be served."""

    name: str
    version: str
    rank: int
    loaded: bool
    refusal: str = ""

    @property
    def ref(self) -> str:
        """The exact reference, "name@version"."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class StudentInfo:
    """What a student serves."""

    model: str
    default_adapter: str
    adapters: tuple[AdapterInfo, ...]


class Student(Protocol):
    """A model that continues prompts.

    Implementations: `vllm_engine.VllmStudent`, `fake.ScriptedStudent`, and in `app` the
    handle to a Serve deployment. All pass tests/contract/test_student.py.
    """

    def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = ""
    ) -> AsyncIterator[Delta]:
        """Continues `prompt` under the adapter referred to (exact or by name; "" for the default).

        The last delta, and only it, has a finish reason. Closing the iterator, or
        cancelling the task that reads it, aborts generation.

        Raises:
            AdapterNotFoundError, AdapterRefusedError: before the first delta.
            InvalidRequestError: the prompt does not fit the model's context.
            OverloadedError: the admission limit is reached.
            StudentUnavailableError: the engine is dead.
        """
        ...

    async def describe(self) -> StudentInfo:
        """Says which model and adapters are served. Raises StudentUnavailableError when dead."""
        ...

    async def resolve_adapter(self, adapter: str) -> str:
        """Turns a reference into the exact "name@version"; "" stays "" without a default.

        Raises: AdapterNotFoundError, AdapterRefusedError.
        """
        ...
