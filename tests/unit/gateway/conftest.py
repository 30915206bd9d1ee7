"""A real gateway before a real inner gRPC server, with the scripted student behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest

from services.common.settings import GatewaySettings, ReasonerSettings, Settings
from services.gateway.server import Gateway
from services.genproto.nesycd.v1 import knowledge_pb2_grpc
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from services.reasoner.knowledge_rpcs import KnowledgeRpcs
from services.reasoner.servicer import ReasonerServicer
from services.student.fake import Scripted, ScriptedStudent, default_script
from tests.knowledge_fakes import FixedKnowledge
from tests.knowledge_services import Service, open_service


def script(prompt: str) -> Scripted:
    """`default_script`, and slow where the question says so."""
    scripted = default_script(prompt)
    if "slow" in prompt:
        return Scripted("word " * 1000, token_delay_s=0.02)
    return scripted


@dataclass
class Edge:
    gateway: Gateway
    inner: grpc.aio.Server
    student: ScriptedStudent
    knowledge: FixedKnowledge
    editing: Service
    channel: grpc.aio.Channel

    @property
    def reasoning(self):
        return pb_grpc.ReasoningServiceStub(self.channel)

    @property
    def adapters(self):
        return pb_grpc.AdapterServiceStub(self.channel)

    @property
    def entries(self):
        return knowledge_pb2_grpc.KnowledgeServiceStub(self.channel)


def edge_settings(upstream: str, **gateway: object) -> Settings:
    fields = {"port": 0, "metrics_port": 0, "upstream": upstream, "health_interval_s": 0.05}
    return Settings(gateway=GatewaySettings(**(fields | {"drain_s": 5.0} | gateway)))


@pytest.fixture
async def make_edge(tmp_path):
    started: list[Edge] = []

    async def make(**gateway: object) -> Edge:
        student, knowledge = ScriptedStudent(script), FixedKnowledge()
        editing = await open_service(tmp_path)
        inner = grpc.aio.server()
        servicer = ReasonerServicer(student, knowledge, ReasonerSettings())
        pb_grpc.add_ReasoningServiceServicer_to_server(servicer, inner)
        pb_grpc.add_AdapterServiceServicer_to_server(servicer, inner)
        rpcs = KnowledgeRpcs(editing.servicer)
        knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server(rpcs, inner)
        port = inner.add_insecure_port("127.0.0.1:0")
        await inner.start()
        edge = Gateway(edge_settings(f"127.0.0.1:{port}", **gateway))
        await edge.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{edge.port}")
        started.append(Edge(edge, inner, student, knowledge, editing, channel))
        return started[-1]

    yield make
    for edge in started:
        await edge.channel.close()
        await edge.gateway.stop()
        await edge.inner.stop(0)
        await edge.editing.store.close()


@pytest.fixture
async def edge(make_edge) -> AsyncIterator[Edge]:
    return await make_edge()
