"""The prompts, byte for byte: training, evaluation and serving depend on them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.common import prompts
from services.common.records import Body, Conclusion, Entry, Fact, Note, Retrieved, Rule

GOLDEN = Path(__file__).parent / "golden"

QUESTION = """Today is Christmas Eve of 1937. What is the date tomorrow in MM/DD/YYYY?
Options:
(A) 12/11/1937
(B) 12/25/1937
(C) 01/04/1938"""

KNOWLEDGE = [
    Note(
        learning_summary=("Find today's date first.", "Then count the days."),
        supplementary_knowledge=("Christmas Eve is 24 December.",),
    ).text,
    Note(learning_summary=(), supplementary_knowledge=("MM/DD/YYYY puts the month first.",)).text,
]

GRAPH = prompts.graph_text(["Ann parent Bob", "Bob parent Carl"], ["Ann grandparent Carl"])

RENDERED = {
    "ap": prompts.render_ap(QUESTION),
    "dc": prompts.render_dc(QUESTION),
    "ad": prompts.render_ad(QUESTION, KNOWLEDGE),
    "ad_graph": prompts.render_ad(QUESTION, [*KNOWLEDGE, GRAPH]),
}


@pytest.mark.parametrize("name", RENDERED)
def test_a_prompt_is_byte_identical_to_its_golden_file(name: str) -> None:
    assert RENDERED[name].encode() == (GOLDEN / f"{name}.txt").read_bytes()


def test_other_bytes_are_another_version() -> None:
    digest = hashlib.sha256()
    for name in RENDERED:
        digest.update((GOLDEN / f"{name}.txt").read_bytes())
    lines = (GOLDEN / "VERSIONS").read_text("utf-8").splitlines()
    versions = dict(line.split() for line in lines if not line.startswith("#"))
    assert versions.get(prompts.VERSION) == digest.hexdigest(), (
        "the golden files changed: give prompts.VERSION a new value and add its line to VERSIONS"
    )
    assert len(set(versions.values())) == len(versions)


def test_a_completion_of_ap_continues_the_answer_sentence() -> None:
    assert RENDERED["ap"].endswith(f"\nAnswer: {prompts.ANSWER_CUE}")


def test_a_graph_that_adds_nothing_is_no_text() -> None:
    assert prompts.graph_text([], []) == ""
    assert prompts.graph_text(["Ann parent Bob"], []) == "Facts:\n- Ann parent Bob"


def test_knowledge_texts_are_the_notes_and_then_one_text_of_the_graph() -> None:
    bodies: list[Body] = [
        Fact("Ann", "parent", "Bob"),
        Note(("Draw a tree.",), ()),
        Rule("old(X) :- age(X, A), A > 80."),
        Note((), ("A tree has roots.",)),
    ]
    found = [Retrieved(Entry("e", 1, "", "", body, "", "t"), 1.0, {}) for body in bodies]
    assert prompts.knowledge_texts(found, [Conclusion("Ann is old", 1.0, ())]) == (
        "Learning summary:\n- Draw a tree.",
        "Supplementary knowledge:\n- A tree has roots.",
        "Facts:\n- Ann parent Bob\nWhat follows:\n- Ann is old",
    )
    assert prompts.knowledge_texts(found[1:2], []) == ("Learning summary:\n- Draw a tree.",)
    assert prompts.knowledge_texts([], []) == ()


@pytest.mark.parametrize("name", ["dc", "ad", "ad_graph"])
def test_a_completion_of_dc_and_ad_continues_the_step_cue(name: str) -> None:
    assert RENDERED[name].endswith(f"\nAnswer: {prompts.STEP_CUE}")


@pytest.mark.parametrize(
    ("rationale", "bridge"),
    [
        ("2 and 2 make 4.", "\nTherefore, the answer is"),
        ("2 and 2 make 4.\n", "Therefore, the answer is"),
    ],
)
def test_the_conclusion_starts_a_line_of_its_own(rationale: str, bridge: str) -> None:
    assert prompts.conclusion_bridge(rationale) == bridge
