"""What the reasoner needs of a student model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.common.errors import InvalidRequestError


class FinishReason(StrEnum):
    """Why a completion ended: a stop string or end of text, the token limit, or a loop."""

    STOP = "stop"
    LENGTH = "length"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode. Always greedy: the score of record is greedy, and a seed kills a CPU engine.

    Attributes:
        max_new_tokens: at least 1.
        stop: strings that end the completion; not part of its text.
        with_gaps: report top1 - top2 probability gaps, for the confidence gate.
        streamed: deltas as they are made; otherwise one delta at the end, which costs
            far less on every hop.

    Raises:
        InvalidRequestError: `max_new_tokens` below 1, or a stop string that is empty or no text.
    """

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    with_gaps: bool = False
    streamed: bool = False

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InvalidRequestError.of_field(
                "max_new_tokens", f"is {self.max_new_tokens}, must be at least 1"
            )
        for stop in self.stop:
            # An engine refuses these late, some after they have taken a place in its queue.
            if not stop or stop.encode(errors="ignore").decode() != stop:
                raise InvalidRequestError.of_field("stop", f"{stop!r} is empty or not text")


@dataclass(frozen=True, slots=True)
class TokenGap:
    """One written token: its text, and p(best) - p(second best) at its place, 0 to 1.

    The texts of a completion's tokens join to its text, followed by the stop string if one
    ended it. A token that ends the text, or only begins a character, has the text "".
    """

    text: str
    gap: float


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a completion.

    Attributes:
        text: what is new, whole characters; may be empty in the last delta only.
        completion_tokens: tokens written since the delta before.
        prompt_tokens: tokens read; set in the last delta, 0 before.
        gaps: one per token of this delta when `Sampling.with_gaps`, otherwise empty.
        finish_reason: set in the last delta, None before.
        model: display name of the model; set in the last delta, "" before.
        adapter: exact "name@version" that wrote it; set in the last delta, "" before and
            for the bare model.
    """

    text: str
    completion_tokens: int
    prompt_tokens: int = 0
    gaps: tuple[TokenGap, ...] = ()
    finish_reason: FinishReason | None = None
    model: str = ""
    adapter: str = ""


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

    Implementations: `vllm_engine.VllmStudent`, `offline.student.TransformersStudent`,
    `fake.ScriptedStudent`, and in `app` the handle to a Serve deployment. All pass
    tests/contract/student_suite.py.
    """

    def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = ""
    ) -> AsyncGenerator[Delta, None]:
        """Continues `prompt` under the adapter referred to (exact or by name; "" for the default).

        The last delta, and only it, has a finish reason. Closing the generator, or
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


class AdapterControl(Protocol):
    """Adapters changed at run time."""

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        """Brings an adapter into the engine. Raises AdapterNotFoundError, AdapterRefusedError."""
        ...

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        """Refuses the adapter until it is loaded again. Raises AdapterNotFoundError."""
        ...


class ManagedStudent(Student, AdapterControl, Protocol):
    """A student with its own engine, as the process that hosts it sees it."""

    @property
    def adapter_loads(self) -> Mapping[str, int]:
        """How often each adapter, by reference, was brought into the engine since the start."""
        ...

    async def check_health(self) -> None:
        """Raises StudentUnavailableError when the engine is dead."""
        ...

    def shutdown(self) -> None:
        """Ends the engine and its processes. Safe to call twice."""
        ...
