"""Requests are checked field by field; responses lose nothing on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import wire
from services.common.errors import FieldViolation, InvalidRequestError
from services.common.records import (
    Conclusion,
    DegradedCause,
    Entry,
    EntryKind,
    Fact,
    Gate,
    GateDecision,
    Note,
    ProofStep,
    ReasonRequest,
    ReasonResponse,
    RetrievalMode,
    Retrieved,
    Rule,
    TokenCounts,
)
from services.common.settings import ReasonerSettings
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

SETTINGS = ReasonerSettings()


def request(**fields: object) -> pb.ReasonRequest:
    message = pb.ReasonRequest(question="How many?")
    for field, value in fields.items():
        setattr(message, field, value)
    return message


def test_a_bare_question_gets_the_defaults() -> None:
    assert wire.read_request(request(), SETTINGS) == ReasonRequest(
        question="How many?",
        task="",
        adapter="",
        mode=RetrievalMode.ADAPTIVE,
        max_new_tokens=256,
        top_k=1,
        budget_s=120.0,
        exclude_source="",
        request_id="",
    )


def test_defaults_come_from_the_settings() -> None:
    settings = ReasonerSettings(default_max_new_tokens=7, default_budget_ms=1500)
    read = wire.read_request(request(), settings)
    assert (read.max_new_tokens, read.budget_s) == (7, 1.5)


def test_every_field_of_a_request_is_read() -> None:
    message = request(
        question=" Why? ",
        task="date_understanding",
        adapter="bbh@v2",
        retrieval_mode=pb.RETRIEVAL_MODE_ALWAYS,
        max_new_tokens=12,
        top_k=3,
        budget_ms=2500,
    )
    assert {field.name for field, _ in message.ListFields()} == set(
        pb.ReasonRequest.DESCRIPTOR.fields_by_name
    )
    assert wire.read_request(message, SETTINGS, request_id="r-1") == ReasonRequest(
        question=" Why? ",
        task="date_understanding",
        adapter="bbh@v2",
        mode=RetrievalMode.ALWAYS,
        max_new_tokens=12,
        top_k=3,
        budget_s=2.5,
        request_id="r-1",
    )


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        (pb.RETRIEVAL_MODE_UNSPECIFIED, RetrievalMode.ADAPTIVE),
        (pb.RETRIEVAL_MODE_ADAPTIVE, RetrievalMode.ADAPTIVE),
        (pb.RETRIEVAL_MODE_ALWAYS, RetrievalMode.ALWAYS),
        (pb.RETRIEVAL_MODE_NEVER, RetrievalMode.NEVER),
    ],
)
def test_every_mode_is_read(number: int, mode: RetrievalMode) -> None:
    assert wire.read_request(request(retrieval_mode=number), SETTINGS).mode is mode


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("question", "x"),
        ("question", "x" * 8000),
        ("question", "\U0001f600" * 8000),  # characters, not bytes
        ("task", "x" * 128),
        ("adapter", "x" * 128),
        ("max_new_tokens", 1),
        ("max_new_tokens", 1024),
        ("top_k", 1),
        ("top_k", 8),
        ("budget_ms", 1),
        ("budget_ms", 600_000),
    ],
)
def test_a_value_on_the_boundary_is_accepted(field: str, value: object) -> None:
    wire.read_request(request(**{field: value}), SETTINGS)


@pytest.mark.parametrize(
    ("field", "value", "description"),
    [
        ("question", "", "'' is empty"),
        ("question", " \n\t", r"' \n\t' is empty"),
        (
            "question",
            "x" * 8001,
            f"8001 characters, at most 8000 are accepted: '{'x' * 60}...'",
        ),
        ("task", "t" * 129, f"129 characters, at most 128 are accepted: '{'t' * 60}...'"),
        ("adapter", "a" * 129, f"129 characters, at most 128 are accepted: '{'a' * 60}...'"),
        ("retrieval_mode", 4, "4 is not one of ADAPTIVE, ALWAYS, NEVER"),
        ("retrieval_mode", -1, "-1 is not one of ADAPTIVE, ALWAYS, NEVER"),
        ("max_new_tokens", 0, "0 is not between 1 and 1024"),
        ("max_new_tokens", 1025, "1025 is not between 1 and 1024"),
        ("top_k", 0, "0 is not between 1 and 8"),
        ("top_k", 9, "9 is not between 1 and 8"),
        ("budget_ms", 0, "0 is not between 1 and 600000"),
        ("budget_ms", 600_001, "600001 is not between 1 and 600000"),
        ("budget_ms", 2**32 - 1, "4294967295 is not between 1 and 600000"),
    ],
)
def test_a_wrong_field_is_refused_by_name_and_value(
    field: str, value: object, description: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        wire.read_request(request(**{field: value}), SETTINGS)
    assert raised.value.message == f"{field}: {description}"
    assert raised.value.violations == (FieldViolation(field, description),)


def test_every_wrong_field_is_named_at_once() -> None:
    message = request(
        question=" " * 8001,
        task="t" * 200,
        adapter="a" * 200,
        retrieval_mode=9,
        max_new_tokens=0,
        top_k=100,
        budget_ms=0,
    )
    with pytest.raises(InvalidRequestError) as raised:
        wire.read_request(message, SETTINGS)
    fields = [violation.field for violation in raised.value.violations]
    assert fields == [
        "question",
        "question",
        "task",
        "adapter",
        "retrieval_mode",
        "max_new_tokens",
        "top_k",
        "budget_ms",
    ]
    assert raised.value.message == "; ".join(
        f"{one.field}: {one.description}" for one in raised.value.violations
    )


@pytest.mark.parametrize("adapter", ["x", "bbh@v2", "x" * 128])
def test_an_adapter_name_is_accepted(adapter: str) -> None:
    wire.check_adapter(adapter)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ("", "adapter: '' is empty"),
        (" ", "adapter: ' ' is empty"),
        (
            "x" * 129,
            f"adapter: 129 characters, at most 128 are accepted: '{'x' * 60}...'",
        ),
    ],
)
def test_an_adapter_name_is_refused(adapter: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        wire.check_adapter(adapter)
    assert raised.value.message == message


COUNTS = st.integers(0, 2**32 - 1)
FINITE = st.floats(allow_nan=False)
LINES = st.lists(st.text(min_size=1), max_size=2).map(tuple)
ENTRIES = st.builds(
    Entry,
    id=st.text(),
    revision=COUNTS,
    task=st.text(),
    question=st.text(),
    body=st.builds(Note, learning_summary=LINES, supplementary_knowledge=LINES)
    | st.builds(Rule)
    | st.builds(Fact),
    source=st.text(),
    provenance=st.text(),
)
FOUND = st.builds(
    Retrieved,
    entry=ENTRIES,
    score=FINITE,
    leg_ranks=st.dictionaries(st.sampled_from(["lexical", "vector"]), COUNTS),
)
CONCLUSIONS = st.builds(
    Conclusion,
    text=st.text(),
    confidence=FINITE,
    proof=st.lists(
        st.builds(ProofStep, text=st.text(), entry_id=st.text(), revision=COUNTS), max_size=2
    ).map(tuple),
)
RESPONSES = st.builds(
    ReasonResponse,
    answer=st.text(),
    rationale=st.text(),
    confidence=st.none() | st.floats(0, 1),
    gate=st.builds(
        Gate, decision=st.sampled_from(GateDecision), reason=st.text(), threshold=FINITE
    ),
    model=st.text(),
    adapter=st.text(),
    kb_release=st.text(),
    tokens=st.builds(TokenCounts, prompt=COUNTS, completion=COUNTS),
    knowledge=st.lists(FOUND, max_size=3).map(tuple),
    conclusions=st.lists(CONCLUSIONS, max_size=2).map(tuple),
    degraded_cause=st.none() | st.sampled_from(DegradedCause),
    stages_s=st.dictionaries(st.text(), FINITE, max_size=3),
    request_id=st.text(),
    truncated=st.booleans(),
)


@given(RESPONSES)
def test_every_field_of_a_response_arrives(response: ReasonResponse) -> None:
    sent = wire.write_response(response)
    message = pb.ReasonResponse.FromString(sent.SerializeToString())
    for field in ("answer", "rationale", "model", "adapter", "kb_release", "request_id"):
        assert getattr(message, field) == getattr(response, field)
    assert (message.confidence if message.HasField("confidence") else None) == response.confidence
    assert wire.decision_name(message) == response.gate.decision.value
    assert message.gate.reason == response.gate.reason
    assert message.gate.threshold == response.gate.threshold
    cause = response.degraded_cause
    assert wire.cause_name(message) == (cause.value if cause else "")
    assert message.degraded is (response.degraded_cause is not None)
    assert message.tokens.prompt == response.tokens.prompt
    assert message.tokens.completion == response.tokens.completion
    assert {one.stage: one.seconds for one in message.stages} == response.stages_s
    assert message.truncated is response.truncated
    assert len(message.knowledge) == len(response.knowledge)
    for used, retrieved in zip(message.knowledge, response.knowledge, strict=True):
        entry = retrieved.entry
        assert used.entry_id == entry.id
        assert used.revision == entry.revision
        assert wire.kind_name(used) == entry.kind.value
        assert used.text == entry.text
        assert used.question == entry.question
        assert used.score == retrieved.score
        assert dict(used.leg_ranks) == retrieved.leg_ranks
    assert [
        Conclusion(
            one.text,
            one.confidence,
            tuple(ProofStep(step.text, step.entry_id, step.revision) for step in one.proof),
        )
        for one in message.conclusions
    ] == list(response.conclusions)


@pytest.mark.parametrize(
    ("records", "messages", "prefix"),
    [
        (RetrievalMode, pb.RetrievalMode, "RETRIEVAL_MODE_"),
        (GateDecision, pb.GateDecision, "GATE_DECISION_"),
        (DegradedCause, pb.DegradedCause, "DEGRADED_CAUSE_"),
        (EntryKind, pb.EntryKind, "ENTRY_KIND_"),
    ],
)
def test_records_and_messages_know_the_same_names(
    records: type[GateDecision], messages: type[pb.GateDecision], prefix: str
) -> None:
    names = [name.removeprefix(prefix) for name in messages.keys()]  # noqa: SIM118 - no dict
    assert names == ["UNSPECIFIED", *(record.name for record in records)]


def test_an_enum_value_of_a_newer_service_is_named_unknown() -> None:
    message = pb.ReasonResponse(degraded=True, degraded_cause=77, gate=pb.Gate(decision=77))
    assert wire.decision_name(message) == "unknown"
    assert wire.cause_name(message) == "unknown"
    assert wire.kind_name(pb.KnowledgeUsed(kind=77)) == "unknown"
