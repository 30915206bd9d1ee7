"""The whole service on a real Neo4j server: with its knowledge, without it, and with it again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest

from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.neo4j_server import OwnServer, own_server
from tests.service import Service, running_service
from tests.tiny_models import build_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

BUDGET_S = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server(tmp_path_factory.mktemp("neo4j") / "home") as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, server: OwnServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with running_service(
        folder,
        student__model=build_model(folder / "tiny", context=4096),
        student__dtype="float32",
        student__kv_cache_bytes=1 << 27,
        **{f"knowledge__{name}": text for name, text in server.knowledge.items()},
    ) as service:
        yield service


def ask(service: Service) -> pb.ReasonResponse:
    with grpc.insecure_channel(service.address) as channel:
        return pb_grpc.ReasoningServiceStub(channel).Reason(
            pb.ReasonRequest(
                question="How many minutes are 3 hours?",
                retrieval_mode=pb.RETRIEVAL_MODE_ALWAYS,
                max_new_tokens=8,
            ),
            timeout=BUDGET_S,
        )


def ask_until(service: Service, degraded: bool, timeout_s: float) -> pb.ReasonResponse:
    end = time.monotonic() + timeout_s
    while True:
        reply = ask(service)
        if reply.degraded is degraded:
            return reply
        assert time.monotonic() < end, reply
        time.sleep(0.2)


def test_notes_facts_rules_and_conclusions_come_from_neo4j(service: Service) -> None:
    reply = ask_until(service, degraded=False, timeout_s=30)  # a busy machine may be late
    assert reply.kb_release == "curated-2"
    assert reply.knowledge[0].kind == pb.ENTRY_KIND_NOTE
    (conclusion,) = [one for one in reply.conclusions if one.text == "minutes: 180"]
    assert "rule-minutes-of-hours" in [step.entry_id for step in conclusion.proof]


def test_a_server_that_dies_degrades_answers_and_none_after_it_is_back(
    service: Service, server: OwnServer
) -> None:
    server.kill()
    reply = ask(service)
    assert reply.degraded
    assert reply.degraded_cause in {
        pb.DEGRADED_CAUSE_KNOWLEDGE_UNAVAILABLE,
        pb.DEGRADED_CAUSE_KNOWLEDGE_TIMEOUT,
    }
    assert reply.model == "tiny"
    server.start()
    assert ask_until(service, degraded=False, timeout_s=60).kb_release == "curated-2"


def test_a_server_that_hangs_costs_no_more_than_the_lookups_share(
    service: Service, server: OwnServer
) -> None:
    ask_until(service, degraded=False, timeout_s=60)
    server.freeze()
    try:
        start = time.monotonic()
        reply = ask(service)
        assert reply.degraded_cause == pb.DEGRADED_CAUSE_KNOWLEDGE_TIMEOUT
        stages = {stage.stage: stage.seconds for stage in reply.stages}
        assert stages["retrieve"] < 2.5
        assert time.monotonic() - start < BUDGET_S
    finally:
        server.thaw()
    assert ask_until(service, degraded=False, timeout_s=60).kb_release == "curated-2"
