"""The RPCs of reasoning.proto over a reasoner: the inner service.

Hosted by Ray Serve as the ingress deployment (its method names are the RPC names, since
that is how Serve's proxy finds them), or by any grpc.aio server.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.metadata import version
from typing import Protocol

from services.common import wire
from services.common.errors import KnowledgeUnavailableError, NesycdError
from services.common.records import ReasonResponse
from services.common.settings import ReasonerSettings
from services.common.tracing import Span, continued
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.knowledge.protocol import Knowledge
from services.reasoner.failing import Context, fail, origin
from services.reasoner.pipeline import Reasoner
from services.student.protocol import AdapterControl, AdapterInfo, Student


class ControlledStudent(Student, AdapterControl, Protocol):
    """A student whose adapters can be changed."""


class ReasonerServicer:
    """Answers RPCs. Errors become code, details and trailers on the context."""

    def __init__(
        self, student: ControlledStudent, knowledge: Knowledge, settings: ReasonerSettings
    ) -> None:
        self._settings = settings
        self._student = student
        self._knowledge = knowledge
        self._reasoner = Reasoner(student, knowledge, settings)

    async def Reason(self, message: pb.ReasonRequest, grpc_context: Context) -> pb.ReasonResponse:
        with continued(call := origin(grpc_context), "reasoner Reason") as span:
            try:
                request = wire.read_request(message, self._settings, request_id=call.request_id)
                response = await self._reasoner.reason(request)
            except NesycdError as error:
                fail(grpc_context, error)
                return pb.ReasonResponse()
            _note(span, response)
            return wire.write_response(response)

    async def ReasonStream(
        self, message: pb.ReasonRequest, grpc_context: Context
    ) -> AsyncGenerator[pb.ReasonStreamResponse, None]:
        with continued(call := origin(grpc_context), "reasoner ReasonStream") as span:
            try:
                request = wire.read_request(message, self._settings, request_id=call.request_id)
                async with aclosing(self._reasoner.stream(request)) as events:
                    async for event in events:
                        if isinstance(event, ReasonResponse):
                            _note(span, event)
                            yield pb.ReasonStreamResponse(response=wire.write_response(event))
                        else:
                            yield pb.ReasonStreamResponse(delta=pb.TextDelta(text=event))
            except NesycdError as error:
                fail(grpc_context, error)
                # Serve's proxy carries the context with messages only: an empty one, which the
                # gateway drops, brings the status across.
                yield pb.ReasonStreamResponse()

    async def Describe(
        self, message: pb.DescribeRequest, grpc_context: Context
    ) -> pb.DescribeResponse:
        del message
        with continued(origin(grpc_context), "reasoner Describe"):
            try:
                student = await self._student.describe()
            except NesycdError as error:
                fail(grpc_context, error)
                return pb.DescribeResponse()
            try:
                release, ready = await self._knowledge.active_release(), True
            except KnowledgeUnavailableError:
                release, ready = None, False
        return pb.DescribeResponse(
            version=version("nesycd"),
            model=student.model,
            default_adapter=student.default_adapter,
            adapters=[_adapter(info) for info in student.adapters],
            kb_release=release.name if release else "",
            kb_entries=release.entries if release else 0,
            knowledge_ready=ready,
            gate_threshold=self._settings.gate_threshold,
            max_question_chars=self._settings.max_question_chars,
            max_new_tokens_limit=self._settings.max_new_tokens_limit,
            top_k_limit=self._settings.top_k_limit,
        )

    async def ListAdapters(
        self, message: pb.ListAdaptersRequest, grpc_context: Context
    ) -> pb.ListAdaptersResponse:
        del message
        with continued(origin(grpc_context), "reasoner ListAdapters"):
            try:
                student = await self._student.describe()
            except NesycdError as error:
                fail(grpc_context, error)
                return pb.ListAdaptersResponse()
        return pb.ListAdaptersResponse(adapters=[_adapter(info) for info in student.adapters])

    async def LoadAdapter(
        self, message: pb.LoadAdapterRequest, grpc_context: Context
    ) -> pb.LoadAdapterResponse:
        with continued(origin(grpc_context), "reasoner LoadAdapter"):
            try:
                wire.check_adapter(message.adapter)
                loaded = await self._student.load_adapter(message.adapter)
            except NesycdError as error:
                fail(grpc_context, error)
                return pb.LoadAdapterResponse()
        return pb.LoadAdapterResponse(adapter=_adapter(loaded))

    async def UnloadAdapter(
        self, message: pb.UnloadAdapterRequest, grpc_context: Context
    ) -> pb.UnloadAdapterResponse:
        with continued(origin(grpc_context), "reasoner UnloadAdapter"):
            try:
                wire.check_adapter(message.adapter)
                unloaded = await self._student.unload_adapter(message.adapter)
            except NesycdError as error:
                fail(grpc_context, error)
                return pb.UnloadAdapterResponse()
        return pb.UnloadAdapterResponse(adapter=_adapter(unloaded))


def _note(span: Span, response: ReasonResponse) -> None:
    """How the answer came about, without what it says."""
    span.set(
        decision=response.gate.decision.value,
        model=response.model,
        adapter=response.adapter,
        release=response.kb_release,
        entries=len(response.knowledge),
        conclusions=len(response.conclusions),
        prompt_tokens=response.tokens.prompt,
        completion_tokens=response.tokens.completion,
    )
    if response.confidence is not None:
        span.set(confidence=response.confidence)
    if response.degraded_cause is not None:
        span.set(degraded=response.degraded_cause.value)


def _adapter(info: AdapterInfo) -> pb.Adapter:
    return pb.Adapter(
        name=info.name,
        version=info.version,
        rank=info.rank,
        loaded=info.loaded,
        refusal=info.refusal,
    )
