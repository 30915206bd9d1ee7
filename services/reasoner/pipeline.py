"""The reasoning pipeline: direct pass and lookup at once, gate, then reasoning if unsure.

A plain class over two protocols. The same object answers under Ray Serve, in the command
line, in training (to mine errors) and in evaluation, so a number measured offline is the
number served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import structlog

from services.common import answers, prompts
from services.common.errors import (
    BudgetExhaustedError,
    InvalidRequestError,
    KnowledgeUnavailableError,
)
from services.common.records import (
    Conclusion,
    DegradedCause,
    EntryKind,
    Gate,
    GateDecision,
    ReasonRequest,
    ReasonResponse,
    RetrievalMode,
    Retrieved,
    TokenCounts,
)
from services.common.settings import ReasonerSettings
from services.knowledge.protocol import Knowledge, KnowledgeQuery, Lookup
from services.reasoner.budget import Budget, Stopwatch
from services.reasoner.gate import answer_confidence, stands
from services.student.protocol import Delta, FinishReason, Sampling, Student, TokenGap

log = structlog.get_logger()


@dataclass(slots=True)
class _Completion:
    """What one pass of the student has written so far."""

    text: str = ""
    gaps: list[TokenGap] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def add(self, delta: Delta) -> None:
        self.text += delta.text
        self.gaps.extend(delta.gaps)
        self.finish_reason = delta.finish_reason or self.finish_reason


@dataclass(slots=True)
class _Found:
    """What the lookup brought, and what it failed by."""

    entries: tuple[Retrieved, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()
    release: str = ""
    cause: DegradedCause | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What the student reads."""
        return prompts.knowledge_texts(self.entries, self.conclusions)


def knowledge_query(request: ReasonRequest) -> KnowledgeQuery:
    """What is looked up for a request; training asks the same."""
    return KnowledgeQuery(
        question=request.question,
        k=request.top_k,
        task=request.task,
        # Rules and facts come through the graph: in the ranks they would crowd out notes.
        kinds=frozenset({EntryKind.NOTE}),
        exclude_source=request.exclude_source,
    )


class Reasoner:
    """Answers questions with a student and a knowledge base."""

    def __init__(self, student: Student, knowledge: Knowledge, settings: ReasonerSettings) -> None:
        self._student = student
        self._knowledge = knowledge
        self._settings = settings

    async def reason(self, request: ReasonRequest) -> ReasonResponse:
        """Answers at once. Raises what `Student.generate` raises, and BudgetExhaustedError."""
        return await _Answer(self, request, streamed=False).response()

    async def stream(self, request: ReasonRequest) -> AsyncGenerator[str | ReasonResponse, None]:
        """Yields pieces of text as they are written, then the response, equal to `reason`'s.

        Closing the iterator aborts whatever the student is writing.
        """
        async with aclosing(_Answer(self, request, streamed=True).events()) as events:
            async for event in events:
                yield event


class _Answer:
    """One request under way."""

    def __init__(self, reasoner: Reasoner, request: ReasonRequest, *, streamed: bool) -> None:
        self._student = reasoner._student  # noqa: SLF001 - one idea in two classes
        self._knowledge = reasoner._knowledge  # noqa: SLF001
        self._settings = reasoner._settings  # noqa: SLF001
        self._request = request
        self._streamed = streamed
        self._budget = Budget(request.budget_s)
        self._watch = Stopwatch()
        self._tokens = TokenCounts()
        self._model = ""
        # The exact version is fixed by the first pass, so all passes use the same weights.
        self._adapter = request.adapter

    async def response(self) -> ReasonResponse:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, ReasonResponse):
                    return event
        raise AssertionError("events() ended without a response")

    async def events(self) -> AsyncGenerator[str | ReasonResponse, None]:
        mode = self._request.mode
        lookup = None if mode is RetrievalMode.NEVER else asyncio.create_task(self._look_up())
        try:
            direct, reason, confidence = None, f"retrieval mode is {mode.value}", None
            if mode is RetrievalMode.ADAPTIVE:
                with self._watch.stage("direct"):
                    direct = await self._direct_pass()
                confidence = answer_confidence(direct.gaps)
                standing, reason = stands(
                    confidence,
                    answers.clean(direct.text),
                    direct.finish_reason or FinishReason.LENGTH,
                    threshold=self._settings.gate_threshold,
                )
                if standing:
                    yield answers.clean(direct.text)
                    yield self._direct_response(direct, reason, confidence)
                    return
            found = await lookup if lookup else _Found()
        finally:
            await _end(lookup)
        async with aclosing(self._reasoned(found, direct, reason, confidence)) as events:
            async for event in events:
                yield event

    async def _direct_pass(self) -> _Completion:
        completion = _Completion()
        sampling = Sampling(
            max_new_tokens=min(self._settings.direct_max_new_tokens, self._request.max_new_tokens),
            stop=prompts.DIRECT_STOP,
            with_gaps=True,
        )
        prompt = prompts.render_ap(self._request.question)
        try:
            async with aclosing(self._write(prompt, sampling, completion)) as texts:
                async for _ in texts:
                    pass
        except TimeoutError:
            raise self._exhausted() from None
        return completion

    async def _reasoned(
        self, found: _Found, direct: _Completion | None, reason: str, confidence: float | None
    ) -> AsyncGenerator[str | ReasonResponse, None]:
        """Rationale and answer, with the knowledge found; the direct answer if time runs out."""
        rationale, cause = _Completion(), found.cause
        try:
            async with aclosing(self._rationale(found, rationale)) as texts:
                async for text in texts:
                    if self._streamed:
                        yield text
        except TimeoutError:
            cause = DegradedCause.BUDGET_EXHAUSTED
            if not answers.extract(rationale.text):
                fallback = answers.clean(direct.text) if direct else ""
                if not fallback:
                    raise self._exhausted() from None
                assert direct is not None  # noqa: S101 - a fallback is made from it
                late = f"{reason}, but the budget ran out while reasoning"
                yield self._direct_response(direct, late, confidence, cause=cause)
                return
        decision = (
            GateDecision.REASON_WITH_KNOWLEDGE
            if found.texts
            else GateDecision.REASON_WITHOUT_KNOWLEDGE
        )
        yield ReasonResponse(
            answer=answers.extract(rationale.text),
            rationale=rationale.text.strip(),
            confidence=confidence,
            gate=Gate(decision, reason, self._settings.gate_threshold),
            model=self._model,
            adapter=self._adapter,
            kb_release=found.release,
            tokens=self._tokens,
            knowledge=found.entries,
            conclusions=found.conclusions,
            degraded_cause=cause,
            stages_s=self._stages(),
            request_id=self._request.request_id,
            truncated=rationale.finish_reason is not FinishReason.STOP,
        )

    async def _rationale(self, found: _Found, rationale: _Completion) -> AsyncGenerator[str, None]:
        """Writes the rationale and, when it ends without an answer, the answer alone."""
        question = self._request.question
        texts = found.texts
        prompt = prompts.render_ad(question, texts) if texts else prompts.render_dc(question)
        with self._watch.stage("reason"):
            sampling = Sampling(
                max_new_tokens=self._request.max_new_tokens,
                stop=prompts.REASON_STOP,
                streamed=self._streamed,
            )
            async with aclosing(self._write(prompt, sampling, rationale)) as written:
                async for text in written:
                    yield text
        if answers.extract(rationale.text) or not self._settings.conclude:
            return
        with self._watch.stage("conclude"):
            async with aclosing(self._conclusion(prompt, rationale)) as written:
                async for text in written:
                    yield text

    async def _conclusion(self, prompt: str, rationale: _Completion) -> AsyncGenerator[str, None]:
        """Asks for the answer alone, and adds it to the rationale."""
        bridge = prompts.conclusion_bridge(rationale.text)
        sampling = Sampling(
            max_new_tokens=self._settings.direct_max_new_tokens,
            stop=prompts.DIRECT_STOP,
            streamed=self._streamed,
        )
        texts = self._write(prompt + rationale.text + bridge, sampling, _Completion())
        try:
            async with aclosing(texts):
                async for text in texts:
                    piece, bridge = bridge + text, ""
                    rationale.text += piece
                    yield piece
        except InvalidRequestError:
            pass  # the rationale has filled the model's context: it stays without an answer

    async def _write(
        self, prompt: str, sampling: Sampling, completion: _Completion
    ) -> AsyncGenerator[str, None]:
        """One pass of the student; yields its text as it adds it to `completion`.

        Raises TimeoutError when the budget runs out. The time limit holds while waiting for
        the student only: around a `yield` it would cancel the caller's own work.
        """
        deltas = self._student.generate(prompt, sampling, adapter=self._adapter)
        async with aclosing(deltas):
            while completion.finish_reason is None:
                async with asyncio.timeout(self._budget.left_s):
                    delta = await anext(deltas)
                completion.add(delta)
                self._tokens += TokenCounts(delta.prompt_tokens, delta.completion_tokens)
                if delta.finish_reason is not None:
                    self._model, self._adapter = delta.model, delta.adapter
                if delta.text:
                    yield delta.text

    def _exhausted(self) -> BudgetExhaustedError:
        return BudgetExhaustedError(
            f"budget_ms: no answer within {self._budget.seconds * 1000:.0f} ms"
        )

    async def _look_up(self) -> _Found:
        settings, request = self._settings, self._request
        timeout_s = min(
            settings.knowledge_timeout_ms / 1000,
            settings.knowledge_budget_share * request.budget_s,
        )
        query = knowledge_query(request)
        try:
            with self._watch.stage("retrieve"):
                async with asyncio.timeout(timeout_s):
                    lookup: Lookup = await self._knowledge.lookup(query)
        except TimeoutError:
            log.warning("knowledge_late", timeout_s=timeout_s)
            return _Found(cause=DegradedCause.KNOWLEDGE_TIMEOUT)
        except KnowledgeUnavailableError as error:
            log.warning("knowledge_unavailable", error=error.message)
            return _Found(cause=DegradedCause.KNOWLEDGE_UNAVAILABLE)
        if lookup.release is None:
            return _Found(cause=DegradedCause.NO_ACTIVE_RELEASE)
        return _Found(
            entries=lookup.found + lookup.related,
            conclusions=lookup.conclusions,
            release=lookup.release.name,
        )

    def _direct_response(
        self,
        direct: _Completion,
        reason: str,
        confidence: float | None,
        *,
        cause: DegradedCause | None = None,
    ) -> ReasonResponse:
        return ReasonResponse(
            answer=answers.clean(direct.text),
            rationale="",
            confidence=confidence,
            gate=Gate(GateDecision.DIRECT, reason, self._settings.gate_threshold),
            model=self._model,
            adapter=self._adapter,
            kb_release="",
            tokens=self._tokens,
            degraded_cause=cause,
            stages_s=self._stages(),
            request_id=self._request.request_id,
        )

    def _stages(self) -> dict[str, float]:
        return {**self._watch.seconds, "total": self._budget.elapsed_s}


async def _end(task: asyncio.Task[_Found] | None) -> None:
    """Cancels a task that nobody waits for any more, and waits until it has ended."""
    if task is not None and not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
