"""The student and the knowledge base as the reasoner's replica sees them: Serve handles.

Each turns Ray's failures into our own, so the pipeline is the same with and without Serve, and
tells the replica which call it works for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import grpc
from google.protobuf.message import Message
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from services.common.errors import (
    KnowledgeUnavailableError,
    NesycdError,
    OverloadedError,
    StudentUnavailableError,
)
from services.common.tracing import Origin
from services.knowledge.protocol import KnowledgeQuery, Lookup, Release
from services.student.protocol import AdapterInfo, Delta, Sampling, StudentInfo

_FAILURES = (RayError, RayServeException, grpc.RpcError, NesycdError)


def _own(error: BaseException, instead: type[NesycdError], what: str) -> NesycdError:
    """The error a replica raised, or `instead` when the replica itself failed."""
    if isinstance(error, RayTaskError):
        error = error.cause
    if isinstance(error, NesycdError):
        return error
    if isinstance(error, BackPressureError):
        return OverloadedError(f"the {what}'s queue is full", retry_after_s=1.0)
    return instead(f"the {what} does not answer: {type(error).__name__}")


class RemoteStudent:
    """A `Student` behind a handle; any replica may serve a call."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        self._generate = handle.options(method_name="generate", stream=True)

    async def generate(
        self, prompt: str, sampling: Sampling, *, adapter: str = ""
    ) -> AsyncGenerator[Delta, None]:
        """See `Student.generate`."""
        response = self._generate.remote(prompt, sampling, adapter=adapter, origin=Origin.here())
        finished = False
        try:
            async for delta in response:
                finished = delta.finish_reason is not None
                yield delta
        except _FAILURES as error:
            finished = True
            raise _own(error, StudentUnavailableError, "student") from None
        finally:
            if not finished:
                response.cancel()

    async def describe(self) -> StudentInfo:
        """See `Student.describe`."""
        try:
            info: StudentInfo = await self._handle.describe.remote()
        except _FAILURES as error:
            raise _own(error, StudentUnavailableError, "student") from None
        return info

    async def load_adapter(self, adapter: str) -> AdapterInfo:
        """See `AdapterControl.load_adapter`; on every replica."""
        return await self._broadcast("load_adapter", adapter)

    async def unload_adapter(self, adapter: str) -> AdapterInfo:
        """See `AdapterControl.unload_adapter`; on every replica."""
        return await self._broadcast("unload_adapter", adapter)

    async def _broadcast(self, method: str, adapter: str) -> AdapterInfo:
        try:
            answers: list[AdapterInfo] = await self._handle.broadcast(
                method, adapter
            ).results_async()
        except _FAILURES as error:
            raise _own(error, StudentUnavailableError, "student") from None
        if not answers:
            raise StudentUnavailableError("the student has no running replica")
        return answers[0]


class RemoteKnowledge:
    """A `Knowledge`, and the calls of its editors, behind a handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        """See `Knowledge.lookup`."""
        try:
            found: Lookup = await self._handle.lookup.remote(query, Origin.here())
        except _FAILURES as error:
            raise KnowledgeUnavailableError(
                _own(error, KnowledgeUnavailableError, "knowledge base").message
            ) from None
        return found

    async def active_release(self) -> Release | None:
        """See `Knowledge.active_release`."""
        try:
            release: Release | None = await self._handle.active_release.remote()
        except _FAILURES as error:
            raise _own(error, KnowledgeUnavailableError, "knowledge base") from None
        return release

    async def call(self, rpc: str, message: Message) -> Message:
        """Answers an RPC of KnowledgeService, on one replica."""
        try:
            reply: Message = await self._handle.call.remote(rpc, message, Origin.here())
        except _FAILURES as error:
            if isinstance(error, RayTaskError) and not isinstance(error.cause, NesycdError):
                raise  # a bug: to call it an outage would invite the caller to try again
            raise _own(error, KnowledgeUnavailableError, "knowledge base") from None
        return reply
