"""The Ray Serve application: Reasoner -> Student, KnowledgeBase.

`build(settings)` binds the graph; `application` is the same for a Serve config file, with
settings from its `args` and the environment.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from google.protobuf.message import Message
from ray import serve
from ray.serve.handle import DeploymentHandle

from services.common import logs, tracing
from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.settings import Settings, load_settings
from services.common.tracing import Origin
from services.knowledge.editing import Editor
from services.knowledge.factory import open_knowledge_base
from services.knowledge.protocol import KnowledgeQuery, Lookup, PooledStore, Release
from services.knowledge.service.servicer import KnowledgeServicer
from services.reasoner.knowledge_rpcs import KnowledgeRpcs
from services.reasoner.servicer import ReasonerServicer
from services.remote import RemoteKnowledge, RemoteStudent
from services.replica_metrics import KnowledgeMetrics, StudentMetrics
from services.student.factory import open_student
from services.student.protocol import AdapterInfo, Delta, Sampling, StudentInfo

if TYPE_CHECKING:
    from ray.serve import Application

SERVICERS = [
    "services.genproto.nesycd.v1.reasoning_pb2_grpc.add_ReasoningServiceServicer_to_server",
    "services.genproto.nesycd.v1.reasoning_pb2_grpc.add_AdapterServiceServicer_to_server",
    "services.genproto.nesycd.v1.knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server",
]


class StudentDeployment:
    """One engine. A dead one fails the health check, and Serve replaces the replica."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(settings)
        tracing.configure(settings, "student")
        self._student = open_student(settings)
        self._metrics = StudentMetrics()

    async def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = "", origin: Origin
    ) -> AsyncGenerator[Delta, None]:
        deltas = self._student.generate(prompt, sampling, adapter=adapter)
        with tracing.continued(origin, "student generate") as span, self._metrics.serving():
            # Closed here and now when the caller goes away, not at garbage collection.
            async with aclosing(deltas):
                tokens = 0
                async for delta in deltas:
                    if not tokens:
                        span.event("first_tokens")
                    tokens += delta.completion_tokens
                    if delta.finish_reason is not None:
                        span.set(
                            model=delta.model,
                            adapter=delta.adapter,
                            prompt_tokens=delta.prompt_tokens,
                            completion_tokens=tokens,
                            finish_reason=delta.finish_reason.value,
                        )
                    yield delta

    async def describe(self) -> StudentInfo:
        return await self._student.describe()

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        return await self._student.load_adapter(adapter)

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        return await self._student.unload_adapter(adapter)

    async def check_health(self) -> None:
        # Fails when the engine is dead; and every replica notices new adapter versions.
        await self._student.describe()
        self._metrics.renew(self._student.adapter_loads)

    def __del__(self) -> None:
        if hasattr(self, "_student"):
            self._student.shutdown()
        tracing.flush()


class KnowledgeBaseDeployment:
    """One reader and editor of the knowledge base."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        logs.configure(settings)
        tracing.configure(settings, "knowledge")
        self._base = base = open_knowledge_base(settings)
        await base.warm_up()
        editor = Editor(base.store, base.embedder)
        self._servicer = KnowledgeServicer(editor, base.store, base.embedder)
        self._metrics = KnowledgeMetrics()

    async def lookup(self, query: KnowledgeQuery, origin: Origin) -> Lookup:
        with tracing.continued(origin, "knowledge lookup") as span, self._metrics.lookup():
            found = await self._base.lookup(query)
            span.set(
                release=found.release.name if found.release else "",
                entries=len(found.found),
                related=len(found.related),
                conclusions=len(found.conclusions),
            )
            return found

    async def active_release(self) -> Release | None:
        return await self._base.active_release()

    async def call(self, rpc: str, message: Message, origin: Origin) -> Message:
        with tracing.continued(origin, f"knowledge {rpc}"):
            reply = await self._servicer.call(rpc, message)
        if "edit" in message.DESCRIPTOR.fields_by_name:
            self._metrics.edited(rpc)
        return reply

    async def check_health(self) -> None:
        # Never fails: a new replica would not bring the store back.
        if isinstance(self._base.store, PooledStore):
            self._metrics.pool(self._base.store.pool_use)
        with suppress(KnowledgeUnavailableError, ConfigurationError):
            release = await self._base.active_release()
            self._metrics.release(release.name if release else "")

    async def __del__(self) -> None:
        if hasattr(self, "_base"):
            await self._base.close()
        tracing.flush()


class ReasonerDeployment(ReasonerServicer, KnowledgeRpcs):
    """The gRPC ingress."""

    def __init__(
        self, student: DeploymentHandle, knowledge: DeploymentHandle, settings: Settings
    ) -> None:
        logs.configure(settings)
        tracing.configure(settings, "reasoner")
        remote = RemoteKnowledge(knowledge)
        ReasonerServicer.__init__(self, RemoteStudent(student), remote, settings.reasoner)
        KnowledgeRpcs.__init__(self, remote)

    def __del__(self) -> None:
        tracing.flush()


def build(settings: Settings) -> Application:
    """Binds the graph. Nothing starts before `serve.run`."""
    limits, queue = settings.serve, settings.student.max_queued

    def deployment(cls: type, fewest: int, most: int, busy: int, **options: object) -> object:
        return serve.deployment(
            cls,
            name=cls.__name__.removesuffix("Deployment"),
            autoscaling_config={
                "min_replicas": fewest,
                "max_replicas": most,
                "target_ongoing_requests": busy,
            },
            health_check_period_s=5,
            health_check_timeout_s=15,
            graceful_shutdown_timeout_s=settings.gateway.drain_s,
            # The gateway logs every call; a second log of them here costs time on each.
            logging_config={"log_level": "WARNING", "enable_access_log": False},
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


def application(args: Mapping[str, object]) -> Application:
    """The import path of a Serve config file: `services.app:application`.

    Its `args` are settings by section, for instance `{"student": {"default_adapter": "bbh@v2"}}`.
    They go before the environment's, so that a change takes effect in a running cluster.

    Raises: ConfigurationError naming the section, the setting and the value.
    """
    return build(load_settings(args))
