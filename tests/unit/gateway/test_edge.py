"""The public edge over real sockets: answers, refusals, deadlines, cancellation, health."""

import asyncio
import socket
import time
import urllib.request
from dataclasses import replace

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.common.errors import ConfigurationError
from services.common.status import DETAILS_KEY, read_violations
from services.gateway.server import Gateway
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from tests.unit.gateway.conftest import edge_settings

SURE, UNSURE = "What is 6 times 7?", "What is 6 times 7? I am unsure."


def asked(question=SURE, **fields):
    return pb.ReasonRequest(question=question, **fields)


def trailers(error: grpc.aio.AioRpcError) -> dict:
    return dict(error.trailing_metadata())


SERVED = {
    "nesycd.v1.ReasoningService",
    "nesycd.v1.AdapterService",
    "nesycd.v1.KnowledgeService",
}


async def failure(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def ready(edge) -> None:
    while True:
        check = await health_pb2_grpc.HealthStub(edge.channel).Check(
            health_pb2.HealthCheckRequest()
        )
        if check.status == health_pb2.HealthCheckResponse.SERVING:
            return
        await asyncio.sleep(0.02)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_question_is_answered(edge):
    reply = await edge.reasoning.Reason(asked())
    assert reply.answer == "42"
    assert reply.confidence == pytest.approx(0.95)
    assert reply.gate.decision == pb.GATE_DECISION_DIRECT


async def test_an_unsure_answer_brings_its_knowledge(edge):
    reply = await edge.reasoning.Reason(asked(UNSURE, top_k=2))
    assert reply.gate.decision == pb.GATE_DECISION_REASON_WITH_KNOWLEDGE
    assert [used.entry_id for used in reply.knowledge] == ["note-1", "note-2"]
    assert dict(reply.knowledge[0].leg_ranks) == {"lexical": 1, "vector": 1}
    assert reply.kb_release == "r1"


async def test_a_stream_ends_in_the_unary_response(edge):
    asking = asked(UNSURE)
    *deltas, last = [event async for event in edge.reasoning.ReasonStream(asking)]
    unary = await edge.reasoning.Reason(asking)
    text = "".join(event.delta.text for event in deltas)
    assert text.strip() == last.response.rationale
    for reply in (last.response, unary):
        reply.ClearField("stages")
        reply.ClearField("request_id")
    assert last.response == unary


async def test_the_callers_request_id_comes_back(edge):
    call = edge.reasoning.Reason(asked(), metadata=(("x-request-id", "mine-1"),))
    assert (await call).request_id == "mine-1"
    assert dict(await call.trailing_metadata())["x-request-id"] == "mine-1"


async def test_a_request_id_is_made_when_the_callers_is_missing_or_unfit(edge):
    ids = {(await edge.reasoning.Reason(asked())).request_id for _ in range(2)}
    unfit = await edge.reasoning.Reason(asked(), metadata=(("x-request-id", "x" * 129),))
    assert len(ids | {unfit.request_id}) == 3
    assert all(len(one) == 32 for one in ids | {unfit.request_id})


@pytest.mark.parametrize(
    ("request_", "field", "description"),
    [
        (asked(""), "question", "'' is empty"),
        (asked(" \n\t"), "question", r"' \n\t' is empty"),
        (asked("x" * 8001), "question", "8001 characters, at most 8000 are accepted"),
        (asked(task="t" * 129), "task", "129 characters, at most 128 are accepted"),
        (asked(adapter="a" * 129), "adapter", "129 characters, at most 128 are accepted"),
        (asked(retrieval_mode=9), "retrieval_mode", "9 is not one of ADAPTIVE, ALWAYS, NEVER"),
        (asked(max_new_tokens=0), "max_new_tokens", "0 is not between 1 and 1024"),
        (
            asked(max_new_tokens=2**32 - 1),
            "max_new_tokens",
            "4294967295 is not between 1 and 1024",
        ),
        (asked(top_k=9), "top_k", "9 is not between 1 and 8"),
        (asked(budget_ms=600_001), "budget_ms", "600001 is not between 1 and 600000"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_bad_field_is_named_with_its_value(edge, request_, field, description, streamed):
    if streamed:
        error = await failure(anext(aiter(edge.reasoning.ReasonStream(request_))))
    else:
        error = await failure(edge.reasoning.Reason(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    ((named, said),) = read_violations(trailers(error)[DETAILS_KEY])
    assert named == field
    assert said.startswith(description)
    assert error.details() == f"{named}: {said}"
    assert "x-request-id" in trailers(error)


async def test_every_bad_field_is_named_at_once(edge):
    error = await failure(edge.reasoning.Reason(asked("", top_k=0, budget_ms=0)))
    fields = [field for field, _ in read_violations(trailers(error)[DETAILS_KEY])]
    assert fields == ["question", "top_k", "budget_ms"]


async def test_an_unknown_adapter_is_named(edge):
    error = await failure(edge.reasoning.Reason(asked(adapter="nope")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    ((field, description),) = read_violations(trailers(error)[DETAILS_KEY])
    assert field == "adapter"
    assert "'nope'" in description


async def raw(edge, data: bytes) -> grpc.aio.AioRpcError:
    call = edge.channel.unary_unary(
        "/nesycd.v1.ReasoningService/Reason", request_serializer=lambda sent: sent
    )
    return await failure(call(data))


@pytest.mark.parametrize(("number", "field"), [(1, "question"), (2, "task"), (3, "adapter")])
async def test_a_string_that_is_not_utf8_is_named(edge, number, field):
    text = b"ok\xff"
    error = await raw(edge, bytes([number << 3 | 2, len(text)]) + text)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == f"{field}: not UTF-8: byte 0xff at position 2"


async def test_bytes_that_are_no_message_are_refused(edge):
    error = await raw(edge, b"\x0a\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "the message of 2 bytes is not a nesycd.v1.ReasonRequest"


async def test_a_huge_message_is_refused_before_it_is_read(make_edge):
    edge = await make_edge(max_message_bytes=2048)
    error = await failure(edge.reasoning.Reason(asked("x" * 4096)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in error.details()
    assert (await edge.reasoning.Reason(asked())).answer == "42"


async def test_an_expired_deadline_ends_the_call_and_frees_the_student(edge):
    start = time.monotonic()
    error = await failure(edge.reasoning.Reason(asked("slow unsure"), timeout=0.3))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - start < 5
    await until(lambda: edge.student.in_flight == 0)


async def test_a_budget_that_is_too_short_is_named(edge):
    error = await failure(edge.reasoning.Reason(asked("slow unsure", budget_ms=100)))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "budget_ms: no answer within 100 ms"


async def test_the_deadline_becomes_the_budget(edge):
    # The rationale would take 20 s; the direct answer arrives within the deadline instead.
    def slow_rationale(prompt):
        from services.common.prompts import ANSWER_CUE
        from services.student.fake import Scripted

        sure = prompt.endswith(ANSWER_CUE)
        return Scripted(" 7.", gap=0.1) if sure else Scripted("w " * 1000, token_delay_s=0.02)

    edge.student._script = slow_rationale
    reply = await edge.reasoning.Reason(asked(), timeout=1.0)
    assert reply.answer == "7"
    assert reply.degraded_cause == pb.DEGRADED_CAUSE_BUDGET_EXHAUSTED


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_aborts_the_student(edge, streamed):
    asking = asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER)
    call = edge.reasoning.ReasonStream(asking) if streamed else edge.reasoning.Reason(asking)
    reading = asyncio.ensure_future(anext(aiter(call)) if streamed else _awaited(call))
    await until(lambda: edge.student.in_flight == 1)
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await until(lambda: edge.student.in_flight == 0)
    await until(lambda: samples(edge)["nesycd_requests_in_flight"] == 0)


async def _awaited(call):
    return await call


async def test_too_many_calls_get_a_retry_hint(make_edge):
    edge = await make_edge(max_concurrent_calls=1)
    first = edge.reasoning.Reason(asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER))
    await until(lambda: edge.student.in_flight == 1)
    error = await failure(edge.reasoning.Reason(asked()))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "1 calls are in flight already"
    status = status_pb2.Status.FromString(trailers(error)[DETAILS_KEY])
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay == duration_pb2.Duration(seconds=1)
    first.cancel()


async def test_a_dead_student_is_unavailable_and_health_says_so(edge):
    await ready(edge)
    edge.student.shutdown()
    error = await failure(edge.reasoning.Reason(asked()))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "the student's engine is dead"
    await until(lambda: samples(edge)["nesycd_upstream_up"] == 0)
    check = await health_pb2_grpc.HealthStub(edge.channel).Check(
        health_pb2.HealthCheckRequest(service="nesycd.v1.ReasoningService")
    )
    assert check.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_an_unreachable_inner_service_is_unavailable_without_its_address(edge):
    await edge.inner.stop(0)
    error = await failure(edge.reasoning.Reason(asked()))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "the reasoning service is not reachable; try again"


async def test_a_bug_inside_does_not_leak(edge):
    def broken(prompt):
        raise ZeroDivisionError("secret detail")

    edge.student._script = broken
    error = await failure(edge.reasoning.Reason(asked()))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == f"internal error; request id {trailers(error)['x-request-id']}"


async def test_health_of_every_service_follows_the_inner_service(edge):
    await ready(edge)
    stub = health_pb2_grpc.HealthStub(edge.channel)
    for service in ("", *SERVED):
        check = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert check.status == health_pb2.HealthCheckResponse.SERVING
    error = await failure(stub.Check(health_pb2.HealthCheckRequest(service="other")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(edge):
    stub = reflection_pb2_grpc.ServerReflectionStub(edge.channel)
    asking = reflection_pb2.ServerReflectionRequest(list_services="")
    async for reply in stub.ServerReflectionInfo(iter([asking])):
        names = {service.name for service in reply.list_services_response.service}
    assert names > SERVED
    assert "grpc.health.v1.Health" in names


@pytest.mark.parametrize(
    ("symbol", "is_found"),
    [
        ("nesycd.v1.ReasoningService", True),
        ("nesycd.v1.ReasoningService.Reason", True),
        ("nesycd.v1.KnowledgeService.FindEntries", True),
        ("nesycd.v1.Nothing", False),
        ("nothing", False),
    ],
)
async def test_reflection_finds_services_and_their_methods(edge, symbol, is_found):
    stub = reflection_pb2_grpc.ServerReflectionStub(edge.channel)
    asking = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    async for reply in stub.ServerReflectionInfo(iter([asking])):
        assert reply.HasField("file_descriptor_response") == is_found


async def test_describe_says_what_is_served(edge):
    described = await edge.reasoning.Describe(pb.DescribeRequest())
    assert described.model == "scripted"
    assert described.kb_release == "r1"
    assert described.kb_entries == 3
    assert described.knowledge_ready
    assert described.max_new_tokens_limit == 1024


async def test_describe_survives_a_dead_knowledge_base(edge):
    edge.knowledge._fails = True
    described = await edge.reasoning.Describe(pb.DescribeRequest())
    assert not described.knowledge_ready
    assert described.model == "scripted"


@pytest.mark.parametrize("method", ["LoadAdapter", "UnloadAdapter"])
async def test_adapter_calls_check_their_name(edge, method):
    request_class = getattr(pb, f"{method}Request")
    error = await failure(getattr(edge.adapters, method)(request_class()))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "adapter: '' is empty"
    error = await failure(getattr(edge.adapters, method)(request_class(adapter="nope")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert len((await edge.adapters.ListAdapters(pb.ListAdaptersRequest())).adapters) == 0


def samples(edge) -> dict:
    found = {}
    for family in edge.gateway._metrics.registry.collect():
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_calls_and_answers_are_counted(edge):
    await edge.reasoning.Reason(asked())
    async for _ in edge.reasoning.ReasonStream(asked(UNSURE)):
        pass
    await failure(edge.reasoning.Reason(asked("")))
    found = samples(edge)
    assert found["nesycd_requests_total{code=OK,method=Reason}"] == 1
    assert found["nesycd_requests_total{code=OK,method=ReasonStream}"] == 1
    assert found["nesycd_requests_total{code=INVALID_ARGUMENT,method=Reason}"] == 1
    assert found["nesycd_gate_decisions_total{decision=direct}"] == 1
    assert found["nesycd_gate_decisions_total{decision=reason_with_knowledge}"] == 1
    assert found["nesycd_confidence_count"] == 2
    assert found["nesycd_time_to_first_text_seconds_count"] == 1
    assert found["nesycd_stage_duration_seconds_count{stage=total}"] == 2
    assert found["nesycd_tokens_total{kind=completion}"] > 0
    assert found["nesycd_requests_in_flight"] == 0
    assert found["nesycd_answers_total{adapter=none}"] == 2
    assert found["nesycd_retrieved_entries_total{kind=note}"] == 1
    assert found["nesycd_retrieved_entries_total{kind=rule}"] == 0


async def test_the_active_release_is_told_with_the_time_since_when(edge):
    name = "nesycd_kb_release_info{release=%s}"
    since = "nesycd_kb_release_activated_timestamp_seconds{release=%s}"
    await until(lambda: samples(edge).get(name % "r1") == 1)
    first = samples(edge)[since % "r1"]
    assert first == pytest.approx(time.time(), abs=10)
    edge.knowledge._release = replace(edge.knowledge._release, name="r2")
    await until(lambda: samples(edge).get(name % "r2") == 1)
    assert name % "r1" not in samples(edge)
    assert samples(edge)[since % "r2"] >= first
    edge.knowledge._fails = True  # what was told last stays
    await asyncio.sleep(0.2)
    assert samples(edge)[name % "r2"] == 1


async def test_metrics_are_served_over_http(edge):
    await edge.reasoning.Reason(asked())
    url = f"http://127.0.0.1:{edge.gateway.metrics_port}/metrics"
    reply = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read())
    assert b'nesycd_requests_total{code="OK",method="Reason"} 1.0' in reply


async def test_stopping_lets_running_calls_end(edge):
    asking = asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER, max_new_tokens=20)
    running = asyncio.ensure_future(_awaited(edge.reasoning.Reason(asking)))
    await until(lambda: edge.student.in_flight == 1)
    await edge.gateway.stop()
    assert (await running).truncated


@pytest.mark.parametrize(
    ("field", "variable"),
    [("port", "NESYCD_GATEWAY__PORT"), ("metrics_port", "NESYCD_GATEWAY__METRICS_PORT")],
)
async def test_a_taken_port_stops_the_start_with_one_line(field, variable):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError) as caught:
            Gateway(edge_settings("127.0.0.1:1", **{field: taken.getsockname()[1]}))
    assert caught.value.message.startswith(f"gateway.{field}: cannot listen on 127.0.0.1:")
    assert variable in caught.value.message
    assert "\n" not in caught.value.message
