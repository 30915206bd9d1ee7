"""The Ray Serve application: Reasoner -> Student, KnowledgeBase.

`build(settings)` binds the graph; `application` is the same for a Serve config file, with
settings from the environment. The Reasoner is the gRPC ingress: its method names are the
RPC names of reasoning.proto, since that is how Serve's proxy finds them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from importlib.metadata import version
from typing import TYPE_CHECKING

import grpc
import structlog
from ray import serve
from ray.serve.handle import DeploymentHandle

from services.common import logs, wire
from services.common.errors import InvalidRequestError, KnowledgeUnavailableError, NesycdError
from services.common.records import ReasonResponse
from services.common.settings import Settings
from services.common.status import DETAILS_KEY, write_status
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.knowledge.factory import open_knowledge_base
from services.knowledge.protocol import KnowledgeQuery, Lookup, Release
from services.reasoner.pipeline import Reasoner
from services.remote import RemoteKnowledge, RemoteStudent
from services.student.factory import open_student
from services.student.protocol import AdapterInfo, Delta, Sampling, StudentInfo

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.grpc_util import RayServegRPCContext

SERVICERS = [
    "services.genproto.nesycd.v1.reasoning_pb2_grpc.add_ReasoningServiceServicer_to_server",
    "services.genproto.nesycd.v1.reasoning_pb2_grpc.add_AdapterServiceServicer_to_server",
]

log = structlog.get_logger()


class StudentDeployment:
    """One engine. A dead one fails the health check, and Serve replaces the replica."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(settings)
        self._student = open_student(settings)

    async def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = ""
    ) -> AsyncGenerator[Delta, None]:
        async for delta in self._student.generate(prompt, sampling, adapter=adapter):
            yield delta

    async def describe(self) -> StudentInfo:
        return await self._student.describe()

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        return await self._student.load_adapter(adapter)

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        return await self._student.unload_adapter(adapter)

    async def check_health(self) -> None:
        await self._student.check_health()

    def __del__(self) -> None:
        if hasattr(self, "_student"):
            self._student.shutdown()


class KnowledgeBaseDeployment:
    """One reader of the knowledge base."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(settings)
        self._base = open_knowledge_base(settings)

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        return await self._base.lookup(query)

    async def active_release(self) -> Release | None:
        return await self._base.active_release()

    async def __del__(self) -> None:
        if hasattr(self, "_base"):
            await self._base.close()


class ReasonerDeployment:
    """The gRPC ingress. Errors become code, details and trailers on the context."""

    def __init__(
        self, student: DeploymentHandle, knowledge: DeploymentHandle, settings: Settings
    ) -> None:
        logs.configure(settings)
        self._settings = settings.reasoner
        self._student = RemoteStudent(student)
        self._knowledge = RemoteKnowledge(knowledge)
        self._reasoner = Reasoner(self._student, self._knowledge, settings.reasoner)

    async def Reason(
        self, message: pb.ReasonRequest, grpc_context: RayServegRPCContext
    ) -> pb.ReasonResponse:
        try:
            request = wire.read_request(
                message, self._settings, request_id=_request_id(grpc_context)
            )
            return wire.write_response(await self._reasoner.reason(request))
        except NesycdError as error:
            _fail(grpc_context, error)
            return pb.ReasonResponse()

    async def ReasonStream(
        self, message: pb.ReasonRequest, grpc_context: RayServegRPCContext
    ) -> AsyncGenerator[pb.ReasonStreamResponse, None]:
        try:
            request = wire.read_request(
                message, self._settings, request_id=_request_id(grpc_context)
            )
            async for event in self._reasoner.stream(request):
                if isinstance(event, ReasonResponse):
                    yield pb.ReasonStreamResponse(response=wire.write_response(event))
                else:
                    yield pb.ReasonStreamResponse(delta=pb.TextDelta(text=event))
        except NesycdError as error:
            _fail(grpc_context, error)

    async def Describe(
        self, message: pb.DescribeRequest, grpc_context: RayServegRPCContext
    ) -> pb.DescribeResponse:
        del message
        try:
            student = await self._student.describe()
        except NesycdError as error:
            _fail(grpc_context, error)
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
        self, message: pb.ListAdaptersRequest, grpc_context: RayServegRPCContext
    ) -> pb.ListAdaptersResponse:
        del message
        try:
            student = await self._student.describe()
        except NesycdError as error:
            _fail(grpc_context, error)
            return pb.ListAdaptersResponse()
        return pb.ListAdaptersResponse(adapters=[_adapter(info) for info in student.adapters])

    async def LoadAdapter(
        self, message: pb.LoadAdapterRequest, grpc_context: RayServegRPCContext
    ) -> pb.LoadAdapterResponse:
        adapter = await self._change_adapter("load_adapter", message.adapter, grpc_context)
        return pb.LoadAdapterResponse(adapter=adapter)

    async def UnloadAdapter(
        self, message: pb.UnloadAdapterRequest, grpc_context: RayServegRPCContext
    ) -> pb.UnloadAdapterResponse:
        adapter = await self._change_adapter("unload_adapter", message.adapter, grpc_context)
        return pb.UnloadAdapterResponse(adapter=adapter)

    async def _change_adapter(
        self, method: str, adapter: str, grpc_context: RayServegRPCContext
    ) -> pb.Adapter | None:
        try:
            wire.check_adapter(adapter)
            return _adapter(await self._student.change_adapter(method, adapter))
        except NesycdError as error:
            _fail(grpc_context, error)
            return None


def _adapter(info: AdapterInfo) -> pb.Adapter:
    return pb.Adapter(
        name=info.name,
        version=info.version,
        rank=info.rank,
        loaded=info.loaded,
        refusal=info.refusal,
    )


def _request_id(context: RayServegRPCContext) -> str:
    return str(dict(context.invocation_metadata()).get("x-request-id", ""))


def _fail(context: RayServegRPCContext, error: NesycdError) -> None:
    if not isinstance(error, InvalidRequestError):
        log.warning(
            "request_failed",
            error=type(error).__name__,
            message=error.message,
            request_id=_request_id(context),
        )
    context.set_code(grpc.StatusCode[error.status])
    context.set_details(error.message)
    context.set_trailing_metadata([(DETAILS_KEY, write_status(error).SerializeToString())])


def build(settings: Settings) -> Application:
    """Binds the graph. Nothing starts before `serve.run`."""
    limits, queue = settings.serve, settings.student.max_queued

    def deployment(cls: type, fewest: int, most: int, busy: int, **options: object) -> object:
        return serve.deployment(
            cls,
            name=cls.__name__.removesuffix("Deployment"),
            autoscaling_config={
                "min_replicas": fewest,
                "max_replicas": max(fewest, most),
                "target_ongoing_requests": busy,
            },
            health_check_period_s=5,
            health_check_timeout_s=15,
            graceful_shutdown_timeout_s=settings.gateway.drain_s,
            **options,
        )

    student = deployment(
        StudentDeployment,
        limits.student_replicas,
        limits.student_max_replicas,
        settings.student.max_sequences,
        # The engine's own admission limit answers first, with a retry hint.
        max_ongoing_requests=queue + settings.student.max_sequences,
        max_queued_requests=queue,
        ray_actor_options={"num_cpus": limits.student_cpus, "num_gpus": limits.student_gpus},
    )
    knowledge = deployment(
        KnowledgeBaseDeployment,
        limits.knowledge_replicas,
        limits.knowledge_max_replicas,
        32,
        max_ongoing_requests=256,
        max_queued_requests=queue,
        ray_actor_options={"num_cpus": limits.light_cpus},
    )
    reasoner = deployment(
        ReasonerDeployment,
        limits.reasoner_replicas,
        limits.reasoner_max_replicas,
        256,
        max_ongoing_requests=1024,
        max_queued_requests=1024,
        ray_actor_options={"num_cpus": limits.light_cpus},
    )
    return reasoner.bind(  # type: ignore[attr-defined]
        student.bind(settings),  # type: ignore[attr-defined]
        knowledge.bind(settings),  # type: ignore[attr-defined]
        settings,
    )


def application(args: dict[str, str]) -> Application:
    """The import path of a Serve config file: `services.app:application`. Takes no arguments."""
    del args
    return build(Settings())
