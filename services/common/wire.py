"""Between the records of this package and the messages of reasoning.proto."""

from __future__ import annotations

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from services.common.errors import FieldViolation, InvalidRequestError
from services.common.records import (
    Conclusion,
    ReasonRequest,
    ReasonResponse,
    RetrievalMode,
    Retrieved,
)
from services.common.settings import ReasonerSettings
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

MAX_NAME_CHARS = 128
MAX_BUDGET_MS = 600_000

_MODES = {
    pb.RETRIEVAL_MODE_UNSPECIFIED: RetrievalMode.ADAPTIVE,
    pb.RETRIEVAL_MODE_ADAPTIVE: RetrievalMode.ADAPTIVE,
    pb.RETRIEVAL_MODE_ALWAYS: RetrievalMode.ALWAYS,
    pb.RETRIEVAL_MODE_NEVER: RetrievalMode.NEVER,
}


def read_request(
    message: pb.ReasonRequest, settings: ReasonerSettings, *, request_id: str = ""
) -> ReasonRequest:
    """Checks a request and turns it into a record, defaults filled in.

    Raises: InvalidRequestError with one violation per wrong field, not only the first.
    """
    wrong = _violations(message, settings)
    if wrong:
        raise InvalidRequestError(
            "; ".join(f"{one.field}: {one.description}" for one in wrong), violations=wrong
        )

    def number(field: str, default: int) -> int:
        return int(getattr(message, field)) if message.HasField(field) else default

    return ReasonRequest(
        question=message.question,
        task=message.task,
        adapter=message.adapter,
        mode=_MODES[message.retrieval_mode],
        max_new_tokens=number("max_new_tokens", settings.default_max_new_tokens),
        top_k=number("top_k", 1),
        budget_s=number("budget_ms", settings.default_budget_ms) / 1000,
        request_id=request_id,
    )


def _violations(
    message: pb.ReasonRequest, settings: ReasonerSettings
) -> tuple[FieldViolation, ...]:
    wrong: list[FieldViolation] = []
    if not message.question.strip():
        wrong.append(FieldViolation("question", f"{_shown(message.question)} is empty"))
    for field, most in (
        ("question", settings.max_question_chars),
        ("task", MAX_NAME_CHARS),
        ("adapter", MAX_NAME_CHARS),
    ):
        text: str = getattr(message, field)
        if len(text) > most:
            wrong.append(FieldViolation(field, _too_long(text, most)))
    if message.retrieval_mode not in _MODES:
        names = ", ".join(mode.name for mode in RetrievalMode)
        description = f"{message.retrieval_mode} is not one of {names}"
        wrong.append(FieldViolation("retrieval_mode", description))
    for field, highest in (
        ("max_new_tokens", settings.max_new_tokens_limit),
        ("top_k", settings.top_k_limit),
        ("budget_ms", MAX_BUDGET_MS),
    ):
        value: int = getattr(message, field)
        if message.HasField(field) and not 1 <= value <= highest:
            wrong.append(FieldViolation(field, f"{value} is not between 1 and {highest}"))
    return tuple(wrong)


def check_adapter(adapter: str) -> None:
    """Checks the adapter that a control call names. Raises InvalidRequestError."""
    if not adapter.strip():
        raise InvalidRequestError.of_field("adapter", f"{_shown(adapter)} is empty")
    if len(adapter) > MAX_NAME_CHARS:
        raise InvalidRequestError.of_field("adapter", _too_long(adapter, MAX_NAME_CHARS))


def _too_long(text: str, most: int) -> str:
    return f"{len(text)} characters, at most {most} are accepted: {_shown(text)}"


def write_response(response: ReasonResponse) -> pb.ReasonResponse:
    """The message for a finished answer."""
    return pb.ReasonResponse(
        answer=response.answer,
        rationale=response.rationale,
        confidence=response.confidence,
        gate=pb.Gate(
            decision=f"GATE_DECISION_{response.gate.decision.name}",
            reason=response.gate.reason,
            threshold=response.gate.threshold,
        ),
        knowledge=[_write_knowledge(one) for one in response.knowledge],
        conclusions=[_write_conclusion(one) for one in response.conclusions],
        degraded=response.degraded_cause is not None,
        degraded_cause=(
            f"DEGRADED_CAUSE_{response.degraded_cause.name}" if response.degraded_cause else None
        ),
        model=response.model,
        adapter=response.adapter,
        kb_release=response.kb_release,
        tokens=pb.TokenCounts(prompt=response.tokens.prompt, completion=response.tokens.completion),
        stages=[
            pb.StageDuration(stage=stage, seconds=seconds)
            for stage, seconds in response.stages_s.items()
        ],
        request_id=response.request_id,
        truncated=response.truncated,
    )


def _write_conclusion(conclusion: Conclusion) -> pb.Conclusion:
    return pb.Conclusion(
        text=conclusion.text,
        confidence=conclusion.confidence,
        proof=[
            pb.ProofStep(text=step.text, entry_id=step.entry_id, revision=step.revision)
            for step in conclusion.proof
        ],
    )


def _write_knowledge(retrieved: Retrieved) -> pb.KnowledgeUsed:
    entry = retrieved.entry
    return pb.KnowledgeUsed(
        entry_id=entry.id,
        revision=entry.revision,
        kind=f"ENTRY_KIND_{entry.kind.name}",
        text=entry.text,
        score=retrieved.score,
        leg_ranks=retrieved.leg_ranks,
        question=entry.question,
    )


def decision_name(message: pb.ReasonResponse) -> str:
    """The gate's decision, as `GateDecision` names it."""
    return _name(pb.GateDecision, message.gate.decision, "GATE_DECISION_")


def cause_name(message: pb.ReasonResponse) -> str:
    """Why a response is degraded, as `DegradedCause` names it; "" when it is not."""
    if not message.degraded:
        return ""
    return _name(pb.DegradedCause, message.degraded_cause, "DEGRADED_CAUSE_")


def kind_name(message: pb.KnowledgeUsed) -> str:
    """The kind of a knowledge entry, as `EntryKind` names it."""
    return _name(pb.EntryKind, message.kind, "ENTRY_KIND_")


def _name(enum: EnumTypeWrapper, value: int, prefix: str) -> str:
    """An enum's short name; "unknown" for the value of a newer service."""
    known = enum.DESCRIPTOR.values_by_number.get(value)
    return known.name.removeprefix(prefix).lower() if known else "unknown"


def _shown(text: str, most: int = 60) -> str:
    """A value as an error shows it: quoted, escaped, shortened."""
    return repr(text if len(text) <= most else text[:most] + "...")
