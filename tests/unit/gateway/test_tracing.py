"""Traces of calls through the gateway, as a receiver over a real socket gets them."""

import asyncio
import json
import urllib.request
from pathlib import Path

import grpc
import pytest
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.common import tracing
from services.common.settings import Settings, TracingSettings
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from tests.trace_receiver import receiving
from tests.unit.gateway.test_edge import SURE, UNSURE, asked, failure, until

DOC = Path(__file__).parents[3] / "docs" / "tracing.md"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def caller(*, sampled=True):
    return ("traceparent", f"00-{TRACE}-{PARENT}-0{int(sampled)}")


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def traced(receiver):
    def turn_on(**settings):
        section = TracingSettings(endpoint=receiver.endpoint, **settings)
        tracing.configure(Settings(tracing=section), "test")

    yield turn_on
    tracing.stop()


@pytest.fixture
async def edge(make_edge, traced):
    traced()
    return await make_edge()


async def spans(receiver, *names):
    await asyncio.to_thread(tracing.flush)
    return await asyncio.to_thread(receiver.named, *names)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_is_one_trace_with_a_span_for_each_of_its_parts(edge, receiver, streamed):
    metadata = (("x-request-id", "mine"),)
    name = "ReasonStream" if streamed else "Reason"
    call = getattr(edge.reasoning, name)(asked(UNSURE), metadata=metadata)
    _ = [event async for event in call] if streamed else await call
    found = await spans(receiver, name, f"reasoner {name}", "retrieve", "direct", "reason")
    assert len({span.trace_id for span in found.values()}) == 1
    outer, inner = found[name], found[f"reasoner {name}"]
    assert outer.parent_id == ""
    assert inner.parent_id == outer.span_id
    for part in ("retrieve", "direct", "reason"):
        assert found[part].parent_id == inner.span_id
    assert outer.attributes == {"nesycd.request_id": "mine", "nesycd.code": "OK"}
    told = inner.attributes
    assert told["nesycd.request_id"] == "mine"
    assert told["nesycd.decision"] == "reason_with_knowledge"
    assert told["nesycd.release"] == "r1"
    assert told["nesycd.entries"] == 1
    assert told["nesycd.confidence"] == pytest.approx(0.1)
    assert not any(span.failed for span in found.values())
    assert {span.process for span in found.values()} == {"nesycd-test"}


async def test_the_documentation_names_the_spans_and_their_attributes(edge, receiver):
    doc = DOC.read_text("utf-8")
    await edge.reasoning.Reason(asked(UNSURE))
    await spans(receiver, "Reason", "reason")
    rpcs = {"Reason", "reasoner Reason"}
    assert {f"`{span.name}`" in doc for span in receiver.spans if span.name not in rpcs} == {True}
    attributes = {name for span in receiver.spans for name in span.attributes}
    assert {f"`{name.removeprefix('nesycd.')}`" in doc for name in attributes} == {True}


async def test_the_callers_trace_goes_on(edge, receiver):
    await edge.reasoning.Reason(asked(), metadata=(caller(),))
    found = await spans(receiver, "Reason", "reasoner Reason")
    assert {span.trace_id for span in found.values()} == {TRACE}
    assert found["Reason"].parent_id == PARENT


@pytest.mark.parametrize("value", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "x" * 5000])
async def test_a_malformed_traceparent_counts_as_none(edge, receiver, value):
    await edge.reasoning.Reason(asked(), metadata=(("traceparent", value),))
    found = await spans(receiver, "Reason")
    assert found["Reason"].parent_id == ""


async def test_what_the_caller_or_the_ratio_leaves_out_is_not_sent(make_edge, receiver, traced):
    traced(sample_ratio=0)
    edge = await make_edge()
    await edge.reasoning.Reason(asked())
    await edge.reasoning.Reason(asked(), metadata=(caller(sampled=False),))
    await asyncio.to_thread(tracing.flush)
    assert receiver.spans == []
    await edge.reasoning.Reason(asked(), metadata=(caller(),))  # the caller wants it
    assert (await spans(receiver, "Reason"))["Reason"].trace_id == TRACE


async def test_spans_hold_no_text_of_the_user(edge, receiver):
    await edge.reasoning.Reason(asked("unsure about Rosebud", retrieval_mode=2))
    await failure(edge.reasoning.Reason(asked("Rosebud " * 2000)))
    await failure(edge.reasoning.Reason(asked("Rosebud", adapter="Rosebud")))
    await spans(receiver, "reason")
    assert not any(b"Rosebud" in raw for raw in receiver.raw)


async def test_only_failures_of_the_service_are_marked(edge, receiver):
    await failure(edge.reasoning.Reason(asked("")))
    refused = (await spans(receiver, "Reason"))["Reason"]
    assert refused.attributes["nesycd.code"] == "INVALID_ARGUMENT"
    assert not refused.failed
    edge.student.shutdown()
    await failure(edge.reasoning.Reason(asked()))
    await until(lambda: sum(span.name == "Reason" for span in _flushed(receiver)) == 2)
    failed = [span for span in receiver.spans if span.name == "Reason"][-1]
    assert failed.failed
    assert failed.attributes["error.type"] == "UNAVAILABLE"


def _flushed(receiver):
    tracing.flush()
    return receiver.spans


async def test_a_cancelled_call_ends_its_spans(edge, receiver):
    call = edge.reasoning.ReasonStream(asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER))
    await anext(aiter(call))
    call.cancel()
    await until(lambda: edge.student.in_flight == 0)
    found = await spans(receiver, "ReasonStream", "reasoner ReasonStream", "reason")
    assert found["ReasonStream"].attributes["nesycd.cancelled"] is True
    assert len({span.trace_id for span in found.values()}) == 1


async def test_health_checks_of_the_gateway_make_no_traces(edge, receiver):
    await edge.reasoning.Reason(asked())
    await asyncio.sleep(0.3)  # some of its looks at the inner service
    await spans(receiver, "Reason")
    assert not any("Describe" in span.name for span in receiver.spans)


async def test_calls_at_once_keep_their_traces_apart(edge, receiver):
    asking = [
        edge.reasoning.Reason(asked(UNSURE), metadata=(("x-request-id", f"call-{n}"),))
        for n in range(8)
    ]
    await asyncio.gather(*asking)
    await until(lambda: sum(span.name == "reasoner Reason" for span in _flushed(receiver)) == 8)
    by_trace = {}
    for span in receiver.spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    assert len(by_trace) == 8
    for together in by_trace.values():
        ids = {span.attributes.get("nesycd.request_id") for span in together} - {None}
        assert len(ids) == 1
        assert {"Reason", "reasoner Reason", "retrieve", "direct", "reason"} <= {
            span.name for span in together
        }


def page(edge, accept):
    url = f"http://127.0.0.1:{edge.gateway.metrics_port}/metrics"
    asking = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(asking, timeout=5) as reply:
        return reply.headers["Content-Type"], reply.read().decode()


async def test_the_latency_histogram_has_exemplars_where_the_reader_takes_them(edge):
    await edge.reasoning.Reason(asked(SURE), metadata=(caller(),))
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    kind, text = await asyncio.to_thread(page, edge, accept)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    [family] = [
        one
        for one in text_string_to_metric_families(text)
        if one.name == "nesycd_request_duration_seconds"
    ]
    exemplars = [sample.exemplar for sample in family.samples if sample.exemplar]
    assert [one.labels for one in exemplars] == [{"trace_id": TRACE}]
    plain = await asyncio.to_thread(page, edge, "text/plain")
    assert TRACE not in plain[1]


async def test_without_tracing_there_are_no_exemplars(make_edge):
    edge = await make_edge()
    await edge.reasoning.Reason(asked(SURE), metadata=(caller(),))
    _, text = await asyncio.to_thread(page, edge, "application/openmetrics-text;version=1.0.0")
    assert "trace_id" not in text


async def test_a_receiver_that_is_down_costs_no_call(make_edge):
    settings = Settings(tracing=TracingSettings(endpoint="http://127.0.0.1:1"))
    tracing.configure(settings, "test")
    try:
        edge = await make_edge()
        assert (await edge.reasoning.Reason(asked(), timeout=5)).answer == "42"
    finally:
        await asyncio.to_thread(tracing.stop)


async def test_every_log_line_of_a_call_has_its_request_id(make_edge):
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as lines:
        edge = await make_edge()
        edge.knowledge._fails = True
        metadata = (("x-request-id", "mine"),)
        await edge.reasoning.Reason(asked(UNSURE), metadata=metadata)
        edge.student.shutdown()
        error = await failure(edge.reasoning.Reason(asked(UNSURE), metadata=metadata))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    named = [line for line in lines if line.get("request_id") == "mine"]
    assert {line["event"] for line in named} == {"call", "knowledge_unavailable", "request_failed"}
    rest = [line for line in lines if line.get("request_id") != "mine"]
    assert {line["event"] for line in rest} <= {"gateway_listening", "request_failed"}
    assert {line.get("request_id", "health") for line in rest} == {"health"}, json.dumps(rest)
