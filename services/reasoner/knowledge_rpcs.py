"""The RPCs of knowledge.proto at the ingress: each is passed on to the knowledge base as it is.

Ray Serve has one ingress per application, so the reasoner's replica takes these calls too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.common.errors import NesycdError
from services.common.tracing import continued
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.reasoner.failing import Context, fail, origin

SERVICE = pb.DESCRIPTOR.services_by_name["KnowledgeService"]


class KnowledgeCalls(Protocol):
    """Who answers the RPCs: `app` has the handle of the knowledge base's deployment."""

    async def call(self, rpc: str, message: Message) -> Message:
        """Answers the RPC of that name. Raises NesycdError."""
        ...


class KnowledgeRpcs:
    """Has a method per RPC of KnowledgeService, as gRPC and Serve's proxy look for them."""

    def __init__(self, calls: KnowledgeCalls) -> None:
        self._calls = calls


def _passing_on(rpc: MethodDescriptor) -> Callable[..., Awaitable[Message]]:
    reply_class = GetMessageClass(rpc.output_type)

    # Serve passes the context by this name, and looks for it in the signature.
    async def method(self: KnowledgeRpcs, message: Any, grpc_context: Context) -> Message:
        with continued(origin(grpc_context), f"reasoner {rpc.name}"):
            try:
                return await self._calls.call(rpc.name, message)
            except NesycdError as error:
                fail(grpc_context, error)
                return reply_class()

    method.__name__ = rpc.name
    method.__qualname__ = f"{KnowledgeRpcs.__qualname__}.{rpc.name}"
    return method


for _rpc in SERVICE.methods:
    setattr(KnowledgeRpcs, _rpc.name, _passing_on(_rpc))
