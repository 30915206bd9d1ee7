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
        _line("question", question)
    if question and reply.rationale:
        _line("rationale", reply.rationale)
    _line("answer", reply.answer or "(none could be read from what the student wrote)")
    confidence = f"{reply.confidence:.3f}" if reply.HasField("confidence") else "not measured"
    _line("confidence", confidence)
    decision = wire.decision_name(reply).replace("_", " ")
    _line("gate", f"{decision}: {reply.gate.reason}")
    if reply.degraded:
        _line("degraded", wire.cause_name(reply).replace("_", " "))
    for used in reply.knowledge:
        ranks = ", ".join(f"{leg} {rank}" for leg, rank in sorted(used.leg_ranks.items()))
        found = f"score {used.score:.4f}" + (f", rank {ranks}" if ranks else "")
        kind = wire.kind_name(used)
        _line("knowledge", f"{used.entry_id} r{used.revision} ({kind}, {found})")
        for line in used.text.splitlines():
            _line("", line)
    adapter = f" + {reply.adapter}" if reply.adapter else ""
    release = reply.kb_release or "none looked up"
    _line("served by", f"{reply.model}{adapter}, knowledge release {release}")
    counts = f"{reply.tokens.prompt} read, {reply.tokens.completion} written"
    _line("tokens", counts + (" (cut off)" if reply.truncated else ""))
    stages = ", ".join(f"{stage.stage} {stage.seconds:.2f} s" for stage in reply.stages)
    _line("time", stages)
    _line("request id", reply.request_id)


def health(status: str, described: pb.DescribeResponse | None) -> None:
    """Prints readiness and what is served."""
    _line("status", status)
    if described is None:
        return
    _line("version", described.version)
    _line("model", described.model)
    _line("adapter", described.default_adapter or "none by default")
    for adapter in described.adapters:
        _line("", _adapter(adapter))
    if not described.knowledge_ready:
        _line("knowledge", "not reachable: answers are made without it")
    elif described.kb_release:
        _line("knowledge", f"{described.kb_release}, {described.kb_entries} entries")
    else:
        _line("knowledge", "no active release")
    _line("threshold", f"{described.gate_threshold:.2f}")


def adapters(found: Iterable[pb.Adapter]) -> None:
    """Prints one line per adapter version."""
    for adapter in found:
        typer.echo(_adapter(adapter))


def _adapter(adapter: pb.Adapter) -> str:
    state = adapter.refusal or ("loaded" if adapter.loaded else "available")
    return f"{adapter.name}@{adapter.version}  rank {adapter.rank}  {state}"


def _line(label: str, text: str) -> None:
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
