"""Questions answered by the pipeline class that serves, many at a time: mining and evaluation.

There is no other way in this package to have a student answer, so what is measured here is
what the service does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Final, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common import answers, prompts
from services.common.errors import (
    BudgetExhaustedError,
    ConfigurationError,
    InvalidRequestError,
    OverloadedError,
)
from services.common.records import ReasonRequest, ReasonResponse, RetrievalMode
from services.common.settings import (
    KnowledgeSettings,
    ReasonerSettings,
    StudentSettings,
    load_settings,
)
from services.knowledge.base import KnowledgeBase
from services.knowledge.protocol import Knowledge
from services.reasoner.pipeline import Reasoner
from services.student.factory import open_student
from services.student.protocol import Delta, FinishReason, Sampling, Student, StudentInfo
from training.controls import GoldHint, NoKnowledge, ShuffledKnowledge
from training.knowledge_bases import KnowledgeSpec, open_bases
from training.repetition import is_repetitive
from training.row_file import Row
from training.rows import Attempt, Question

BUDGET_S: Final = 3600.0
"""For one answer: no question is answered worse because many were asked at once."""

LOOP: Final = "loop"
TRUNCATED: Final = "truncated"
TOO_LONG: Final = "too_long"
"""What `Attempt.degenerate` says: went round in a loop, cut off by the token limit, or not even
begun, because the prompt does not fit the model's context."""

_UNLIMITED = 1 << 20

log = structlog.get_logger()


class System(BaseModel):
    """One way to answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: str = Field("", description="Such as sp@v1; empty: the bare model.")
    mode: RetrievalMode = Field(description="When knowledge is looked up and used.")
    top_k: int = Field(1, ge=1, description="Most entries in the prompt.")
    knowledge: str = Field("", description="Name of a knowledge base; empty with mode `never`.")
    gate_threshold: float | None = Field(
        None, ge=0, le=1, description="Instead of the reasoner's setting."
    )
    exclude_own: bool = Field(
        False, description="A question never finds the entry that was made from it."
    )

    @model_validator(mode="after")
    def _has_what_it_looks_up(self) -> Self:
        if self.mode is not RetrievalMode.NEVER and not self.knowledge:
            raise ValueError(f"mode = {self.mode.value} needs the name of a knowledge base")
        return self


class Asked(Row):
    """A question put to a system; `key` is that of the attempt it becomes."""

    system: str = Field(description="Name of the system.")
    question: Question


class Answerer:
    """A `Worker` that has questions answered. Can be pickled until it is open.

    Args:
        student: engine, model and adapter folder. Its default adapter and its admission limit
            do not count: a system names its adapter, and the caller bounds what is in flight.
        reasoner: as in the service; only its time limits do not count.
        embedder: of the knowledge bases.
        systems: by the name that `Asked.system` has.
        knowledge: bases by the name that `System.knowledge` has.
        max_new_tokens: per answer.

    Raises:
        ConfigurationError: a system names a knowledge base that is not there, or an answer may
            be longer than the model's context.
    """

    def __init__(
        self,
        *,
        student: StudentSettings,
        reasoner: ReasonerSettings,
        embedder: KnowledgeSettings,
        systems: Mapping[str, System],
        knowledge: Mapping[str, KnowledgeSpec],
        max_new_tokens: int,
    ) -> None:
        for name, system in systems.items():
            if system.knowledge and system.knowledge not in knowledge:
                raise ConfigurationError(
                    f"systems.{name}.knowledge: there is no {system.knowledge!r}; there are "
                    f"{', '.join(knowledge) or 'none'}"
                )
        if max_new_tokens >= student.max_model_len:
            raise ConfigurationError(
                f"max_new_tokens = {max_new_tokens} leaves no room for a question in "
                f"student.max_model_len = {student.max_model_len}"
            )
        self._student_settings = student.model_copy(
            update={"default_adapter": "", "max_queued": _UNLIMITED}
        )
        self._reasoner_settings = reasoner.model_copy(
            update={"knowledge_timeout_ms": round(BUDGET_S * 1000), "knowledge_budget_share": 0.5}
        )
        self._embedder_settings = embedder
        self._systems = dict(systems)
        self._specs = dict(knowledge)
        self._max_new_tokens = max_new_tokens
        self._opened: AsyncExitStack | None = None

    async def open(self) -> None:
        """Opens the knowledge bases, then the student's engine: seconds to minutes.

        Raises:
            ConfigurationError: a dump, the embedder, the model or an adapter is wrong.
        """
        async with AsyncExitStack() as opened:
            needed = {system.knowledge for system in self._systems.values()}
            searched = {
                name: spec
                for name, spec in self._specs.items()
                if name in needed and spec.kind != "gold"
            }
            bases = await opened.enter_async_context(open_bases(searched, self._embedder_settings))
            self._knowledge = {
                name: await _knowledge(base, searched[name]) for name, base in bases.items()
            }
            settings = load_settings().model_copy(update={"student": self._student_settings})
            self._student: Student = (student := open_student(settings))
            opened.callback(student.shutdown)
            self._opened = opened.pop_all()

    async def __call__(self, asked: Asked, /) -> Attempt:
        """Has one question answered.

        Returns: an attempt. One with an `error` is to be tried again: the answer was degraded.
        Raises: StudentUnavailableError, AdapterNotFoundError, AdapterRefusedError.
        """
        question, system = asked.question, self._systems[asked.system]
        settings = self._reasoner_settings
        if system.gate_threshold is not None:
            settings = settings.model_copy(update={"gate_threshold": system.gate_threshold})
        student = _Overheard(self._student)
        reasoner = Reasoner(student, self._knowledge_of(system, question), settings)
        request = ReasonRequest(
            question=question.text,
            adapter=system.adapter,
            mode=system.mode,
            max_new_tokens=self._max_new_tokens,
            top_k=system.top_k,
            budget_s=BUDGET_S,
            exclude_source=question.key if system.exclude_own else "",
            request_id=asked.key,
        )
        try:
            response = await reasoner.reason(request)
        except InvalidRequestError as error:
            # The same at every try: an attempt that failed, and no error.
            log.warning("question_too_long", key=asked.key, error=error.message)
            return Attempt(key=asked.key, question=question.key, unparsed=True, degenerate=TOO_LONG)
        except (BudgetExhaustedError, OverloadedError) as error:
            return Attempt(key=asked.key, question=question.key, error=error.message)
        return _attempt(asked, response, looped=student.looped)

    async def close(self) -> None:
        """Ends the engine and deletes the knowledge bases. Safe to call twice."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    def _knowledge_of(self, system: System, question: Question) -> Knowledge:
        if not system.knowledge:
            return NoKnowledge()
        if self._specs[system.knowledge].kind == "gold":
            return GoldHint(question)
        return self._knowledge[system.knowledge]


class _Overheard:
    """A student whose rationale is watched for the loop that the response calls truncated."""

    def __init__(self, student: Student) -> None:
        self._student = student
        self.looped = False

    async def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = ""
    ) -> AsyncGenerator[Delta, None]:
        is_rationale = prompt.endswith(prompts.STEP_CUE)
        async with aclosing(self._student.generate(prompt, sampling, adapter=adapter)) as deltas:
            async for delta in deltas:
                if is_rationale and delta.finish_reason is FinishReason.LOOP:
                    self.looped = True
                yield delta

    async def describe(self) -> StudentInfo:
        return await self._student.describe()


async def _knowledge(base: KnowledgeBase, spec: KnowledgeSpec) -> Knowledge:
    if spec.kind == "search":
        return base
    release = await base.active_release()
    assert release is not None  # noqa: S101 - it was just activated
    entries = [entry async for entry, _ in base.store.entries(release.name)]
    return ShuffledKnowledge(base, entries)


def _attempt(asked: Asked, response: ReasonResponse, *, looped: bool) -> Attempt:
    question, cause = asked.question, response.degraded_cause
    degenerate = ""
    if looped or is_repetitive(response.rationale):
        degenerate = LOOP
    elif response.truncated:
        degenerate = TRUNCATED
    return Attempt(
        key=asked.key,
        # Here nothing is degraded but by a fault: it is tried again, and no result.
        error=f"degraded: {cause.value}" if cause else "",
        question=question.key,
        answer=response.answer,
        rationale=response.rationale,
        correct=answers.is_correct(response.answer, question.gold, question=question.text),
        unparsed=not response.answer,
        degenerate=degenerate,
        decision=response.gate.decision.value,
        confidence=response.confidence,
        knowledge=tuple(one.entry.id for one in response.knowledge),
        degraded=cause.value if cause else "",
        prompt_tokens=response.tokens.prompt,
        completion_tokens=response.tokens.completion,
        seconds=round(response.stages_s["total"], 3),
    )
