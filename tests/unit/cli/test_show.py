"""What people see: golden texts of whole answers, and of health and adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli import show
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

GOLDEN = Path(__file__).parent / "golden"

QUESTION = "How many litres does a tap of 12 litres per minute pour in 2.5 hours?"

FULL = pb.ReasonResponse(
    answer="1800 litres",
    rationale=(
        "The tap pours 12 litres per minute, and 2 and a half hours are 2.5 * 60 = 150 minutes, "
        "so it pours 12 * 150 = 1800 litres.\n\nTherefore, the answer is 1800 litres."
    ),
    confidence=0.4567,
    gate=pb.Gate(
        decision=pb.GATE_DECISION_REASON_WITH_KNOWLEDGE,
        reason="confidence 0.457 is below the threshold 0.68",
        threshold=0.68,
    ),
    knowledge=[
        pb.KnowledgeUsed(
            entry_id="rates-and-units-of-time-0001",
            revision=2,
            kind=pb.ENTRY_KIND_NOTE,
            text=(
                "Learning summary:\n- Bring every quantity to the same unit first.\n"
                "Supplementary knowledge:\n- 1 hour = 60 minutes."
            ),
            score=0.0163934,
            leg_ranks={"vector": 1, "lexical": 3},
            question="A pump fills 5 litres per minute. How much in an hour?",
        ),
        pb.KnowledgeUsed(
            entry_id="half", revision=1, kind=pb.ENTRY_KIND_FACT, text="half = 0.5", score=0.01
        ),
    ],
    degraded=True,
    degraded_cause=pb.DEGRADED_CAUSE_BUDGET_EXHAUSTED,
    model="SmolLM2-135M-Instruct",
    adapter="bbh@v2",
    kb_release="sample-1",
    tokens=pb.TokenCounts(prompt=420, completion=64),
    stages=[
        pb.StageDuration(stage="direct", seconds=0.12),
        pb.StageDuration(stage="retrieve", seconds=0.004),
        pb.StageDuration(stage="total", seconds=1.5),
    ],
    request_id="r-1",
    truncated=True,
)

MINIMAL = pb.ReasonResponse(
    gate=pb.Gate(decision=pb.GATE_DECISION_DIRECT),
    model="m",
)


@pytest.mark.parametrize(
    ("name", "reply", "question"),
    [("full", FULL, ""), ("full_with_question", FULL, QUESTION), ("minimal", MINIMAL, "")],
)
def test_an_answer_looks_like_its_golden_file(
    name: str, reply: pb.ReasonResponse, question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show.response(reply, question=question)
    assert capsys.readouterr().out == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["full", "full_with_question", "minimal"])
def test_lines_fit_a_terminal_and_end_without_blanks(name: str) -> None:
    for line in (GOLDEN / f"{name}.txt").read_text("utf-8").splitlines():
        assert line == line.rstrip()
        assert len(line) <= 100


def test_an_id_is_never_broken_at_its_hyphens(capsys: pytest.CaptureFixture[str]) -> None:
    entry_id = "-".join(["part"] * 18)
    show.response(
        pb.ReasonResponse(
            gate=MINIMAL.gate,
            knowledge=[pb.KnowledgeUsed(entry_id=entry_id, kind=pb.ENTRY_KIND_NOTE, revision=1)],
        )
    )
    assert entry_id in capsys.readouterr().out


def test_a_text_that_begins_with_an_empty_line_keeps_its_label(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.response(pb.ReasonResponse(gate=MINIMAL.gate, rationale="\nSo."), question="q")
    assert "\nrationale\n             So.\n" in capsys.readouterr().out


def test_health_says_what_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    described = pb.DescribeResponse(
        version="0.1.0",
        model="m",
        adapters=[
            pb.Adapter(name="bbh", version="v2", rank=16, loaded=True),
            pb.Adapter(name="bbh", version="v1", rank=64, refusal="rank 64 is above 32"),
            pb.Adapter(name="gsm", version="v1", rank=8),
        ],
        kb_release="sample-1",
        kb_entries=134,
        knowledge_ready=True,
        gate_threshold=0.68,
    )
    show.health("SERVING", described)
    assert capsys.readouterr().out.splitlines() == [
        "status       SERVING",
        "version      0.1.0",
        "model        m",
        "adapter      none by default",
        "             bbh@v2  rank 16  loaded",
        "             bbh@v1  rank 64  rank 64 is above 32",
        "             gsm@v1  rank 8  available",
        "knowledge    sample-1, 134 entries",
        "threshold    0.68",
    ]


@pytest.mark.parametrize(
    ("described", "line"),
    [
        (pb.DescribeResponse(), "knowledge    not reachable: answers are made without it"),
        (pb.DescribeResponse(knowledge_ready=True), "knowledge    no active release"),
    ],
)
def test_health_says_when_there_is_no_knowledge(
    described: pb.DescribeResponse, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show.health("SERVING", described)
    assert line in capsys.readouterr().out.splitlines()


def test_health_of_a_service_that_is_not_ready_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.health("NOT_SERVING", None)
    assert capsys.readouterr().out == "status       NOT_SERVING\n"
