"""What an operator sees of the whole service, each part in its own Ray process: one trace per
call, the replicas' metrics on Ray's port, the request id in their logs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from services.common import replica_metrics
from services.genproto.nesycd.v1 import knowledge_pb2, knowledge_pb2_grpc
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.ray_session import ray_metrics, ray_session
from tests.service import Service, running_service
from tests.tiny_models import write_adapter
from tests.trace_receiver import Receiver, receiving

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

UNSURE = "How many minutes are 3 hours? I am unsure."


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("observed")
    write_adapter(folder / "adapters", "maths@v1", seed=1)
    with running_service(
        folder,
        student__backend="scripted",
        student__adapters_dir=folder / "adapters",
        tracing__endpoint=receiver.endpoint,
        log_format="json",
    ) as service:
        yield service


@pytest.fixture
def channel(service: Service) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(service.address) as channel:
        yield channel


def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def test_one_trace_leads_from_the_gateway_to_the_student_and_the_knowledge(channel, receiver):
    metadata = (("x-request-id", "followed"),)
    request = pb.ReasonRequest(question=UNSURE, adapter="maths")
    reply = pb_grpc.ReasoningServiceStub(channel).Reason(request, timeout=60, metadata=metadata)
    assert reply.knowledge
    names = ("Reason", "reasoner Reason", "retrieve", "knowledge lookup", "direct", "reason")
    receiver.named(*names, "student generate", timeout_s=60)
    until(lambda: sum(span.name == "student generate" for span in receiver.spans) == 2)
    assert len({span.trace_id for span in receiver.spans}) == 1
    by_id = {span.span_id: span for span in receiver.spans}

    def way(name: str) -> set[str]:
        """From the first span to those of a name."""
        ways = set()
        for span in receiver.spans:
            if span.name == name:
                steps = [span]
                while steps[0].parent_id:
                    steps.insert(0, by_id[steps[0].parent_id])
                ways.add(" > ".join(f"{one.process}: {one.name}" for one in steps))
        return ways

    called = "nesycd-gateway: Reason > nesycd-reasoner: reasoner Reason > nesycd-reasoner: "
    assert way("student generate") == {
        f"{called}direct > nesycd-student: student generate",
        f"{called}reason > nesycd-student: student generate",
    }
    assert way("knowledge lookup") == {f"{called}retrieve > nesycd-knowledge: knowledge lookup"}
    for span in receiver.spans:
        if span.process != "nesycd-reasoner" or span.name == "reasoner Reason":
            assert span.attributes["nesycd.request_id"] == "followed"
    lookup = receiver.named("knowledge lookup")["knowledge lookup"].attributes
    assert lookup["nesycd.release"] == reply.kb_release
    assert lookup["nesycd.entries"] >= 1
    pass_ = receiver.named("student generate")["student generate"]
    assert pass_.attributes["nesycd.adapter"] == "maths@v1"
    assert pass_.attributes["nesycd.completion_tokens"] > 0
    assert pass_.events == ("first_tokens",)
    assert not any(b"minutes" in raw for raw in receiver.raw)


def test_a_streamed_answer_is_traced_to_the_student_too(channel, receiver):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    metadata = (("traceparent", f"00-{trace}-00f067aa0ba902b7-01"),)
    stub = pb_grpc.ReasoningServiceStub(channel)
    *_, last = stub.ReasonStream(pb.ReasonRequest(question=UNSURE), timeout=60, metadata=metadata)
    assert last.response.answer == "42"
    wanted = {"ReasonStream", "reasoner ReasonStream", "student generate", "knowledge lookup"}
    until(lambda: wanted <= {one.name for one in receiver.spans if one.trace_id == trace})


def test_an_edit_is_traced_to_the_knowledge_base(channel, receiver):
    stub = knowledge_pb2_grpc.KnowledgeServiceStub(channel)
    entry = knowledge_pb2.Entry(
        id="furlongs",
        question="How many furlongs are in 3 leagues?",
        note={"supplementary_knowledge": ["1 league = 24 furlongs."]},
        provenance="test",
    )
    edit = {"actor": "ana", "reason": "was asked"}
    stub.CreateEntry(knowledge_pb2.CreateEntryRequest(entry=entry, edit=edit), timeout=30)
    found = receiver.named("CreateEntry", "reasoner CreateEntry", "knowledge CreateEntry")
    assert len({span.trace_id for span in found.values()}) == 1


def test_the_replicas_metrics_are_on_the_port_of_their_node(service, channel):
    stub = pb_grpc.ReasoningServiceStub(channel)
    stub.Reason(pb.ReasonRequest(question=UNSURE, adapter="maths"), timeout=60)
    # A full queue, a failed lookup and a pool of connections are not to be had here.
    absent = {replica_metrics.REFUSED, replica_metrics.LOOKUP_FAILURES, replica_metrics.CONNECTIONS}
    expected = [f"ray_{one.name}" for one in replica_metrics.ALL if one not in absent]
    text = ""

    def samples(name: str) -> list[tuple[str, float]]:
        found = re.findall(rf"^ray_{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
        return [(labels, float(value)) for labels, value in found]

    def lookups() -> float:
        return sum(value for _, value in samples("nesycd_knowledge_lookup_seconds_count"))

    # Each process tells Ray at its own time; this call and those of the tests before look up once.
    deadline = time.monotonic() + 90
    while (missing := [name for name in expected if name not in text]) or lookups() < 3:
        assert time.monotonic() < deadline, (missing, lookups())
        time.sleep(0.5)
        text = ray_metrics(service)

    ((labels, value),) = samples("nesycd_student_adapter_loads_total")
    assert 'adapter="maths@v1"' in labels
    assert 'deployment="Student"' in labels
    assert value == 1
    ((labels, value),) = samples("nesycd_knowledge_edits_total")
    assert 'rpc="CreateEntry"' in labels
    assert value == 1
    ((labels, value),) = samples("nesycd_knowledge_release_info")
    assert 'deployment="KnowledgeBase"' in labels
    assert value == 1
    assert samples("nesycd_student_in_flight")[0][1] == 0


def test_the_request_id_is_in_the_log_of_the_replica_that_fails(service, channel):
    stub = pb_grpc.ReasoningServiceStub(channel)
    request = pb.ReasonRequest(question=UNSURE, budget_ms=1)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Reason(request, timeout=60, metadata=(("x-request-id", "too-late"),))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    def logged() -> list[str]:
        logs = (ray_session(service) / "logs").glob("worker-*.err")
        lines = [line for log in logs for line in log.read_text().splitlines()]
        return [line for line in lines if '"event": "request_failed"' in line]

    until(lambda: bool(logged()), 20)
    assert all('"request_id": "too-late"' in line for line in logged())
