"""How the command line shows responses to people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import typer

from services.common import wire
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

_WIDTH = 100


def response(reply: pb.ReasonResponse, *, question: str = "") -> None:
    """Prints a finished answer, and how it came about."""
    if question:
        labelled("question", question)
    if question and reply.rationale:
        labelled("rationale", reply.rationale)
    labelled("answer", reply.answer or "(none could be read from what the student wrote)")
    confidence = f"{reply.confidence:.3f}" if reply.HasField("confidence") else "not measured"
    labelled("confidence", confidence)
    decision = wire.decision_name(reply).replace("_", " ")
    labelled("gate", f"{decision}: {reply.gate.reason}")
    if reply.degraded:
        labelled("degraded", wire.cause_name(reply).replace("_", " "))
    for used in reply.knowledge:
        ranks = ", ".join(f"{leg} {rank}" for leg, rank in sorted(used.leg_ranks.items()))
        found = f"score {used.score:.4f}" + (f", rank {ranks}" if ranks else "")
        kind = wire.kind_name(used)
        labelled("knowledge", f"{used.entry_id} r{used.revision} ({kind}, {found})")
        for line in used.text.splitlines():
            labelled("", line)
    for concluded in reply.conclusions:
        labelled("follows", f"{concluded.text} (confidence {concluded.confidence:.2f})")
        for step in concluded.proof:
            place = f"{step.entry_id} r{step.revision}" if step.entry_id else "the question"
            labelled("", f"from {place}: {step.text}")
    adapter = f" + {reply.adapter}" if reply.adapter else ""
    release = reply.kb_release or "none looked up"
    labelled("served by", f"{reply.model}{adapter}, knowledge release {release}")
    counts = f"{reply.tokens.prompt} read, {reply.tokens.completion} written"
    labelled("tokens", counts + (" (cut off)" if reply.truncated else ""))
    stages = ", ".join(f"{stage.stage} {stage.seconds:.2f} s" for stage in reply.stages)
    labelled("time", stages)
    labelled("request id", reply.request_id)


def health(status: str, described: pb.DescribeResponse | None) -> None:
    """Prints readiness and what is served."""
    labelled("status", status)
    if described is None:
        return
    labelled("version", described.version)
    labelled("model", described.model)
    labelled("adapter", described.default_adapter or "none by default")
    for adapter in described.adapters:
        labelled("", _adapter(adapter))
    if not described.knowledge_ready:
        labelled("knowledge", "not reachable: answers are made without it")
    elif described.kb_release:
        labelled("knowledge", f"{described.kb_release}, {described.kb_entries} entries")
    else:
        labelled("knowledge", "no active release")
    labelled("threshold", f"{described.gate_threshold:.2f}")


def adapters(found: Iterable[pb.Adapter]) -> None:
    """Prints one line per adapter version."""
    for adapter in found:
        typer.echo(_adapter(adapter))


def _adapter(adapter: pb.Adapter) -> str:
    state = adapter.refusal or ("loaded" if adapter.loaded else "available")
    return f"{adapter.name}@{adapter.version}  rank {adapter.rank}  {state}"


def labelled(label: str, text: str) -> None:
    """Prints a labelled text, wrapped and indented; nothing when a label has no text."""
    if label and not text:
        return
    indent = " " * 13
    for index, paragraph in enumerate(text.splitlines() or [""]):
        first = f"{label:<13}" if index == 0 else indent
        wrapped = textwrap.fill(
            paragraph,
            _WIDTH,
            initial_indent=first,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        typer.echo((wrapped or first).rstrip())
