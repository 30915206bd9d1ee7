"""The three prompts of NesyCD: the one place that renders them.

Training, evaluation and serving call these functions, so a prompt is byte-identical
wherever it is used (golden files: tests/unit/common/golden/). Names follow the paper's
training tasks (Liao et al. 2025, Augmented Distillation):

- AP, answer prediction: question -> answer only;
- DC, direct chain of thought: question -> rationale and answer;
- AD, augmented distillation: question and retrieved knowledge -> rationale and answer.

Deviation from the paper's layout: the AP prompt ends in the opening words of the answer
sentence, so that every token the student writes is an answer token and the confidence
gate averages over nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.common.records import Conclusion, EntryKind, Retrieved

VERSION = "2"
"""Changes whenever a rendered byte does; stands in every training manifest."""

ANSWER_CUE = "Therefore, the answer is"
STEP_CUE = "Let's think step by step."

_INSTRUCTION = (
    f'Answer the following question. Your response should conclude with the format "{ANSWER_CUE}".'
)

DIRECT_STOP = ("\n",)
"""Ends an answer that stands alone on its line."""

REASON_STOP = ("\nQuestion:",)
"""Ends a rationale of a student that would go on to invent the next question."""


def render_ap(question: str) -> str:
    """The answer-only prompt; the completion is the answer, such as ` 18.`."""
    return f"{_INSTRUCTION}\n\nQuestion: {question}\nAnswer: {ANSWER_CUE}"


def render_dc(question: str) -> str:
    """The step-by-step prompt without knowledge."""
    return f"{_INSTRUCTION}\n\nQuestion: {question}\nAnswer: {STEP_CUE}"


def render_ad(question: str, knowledge: Sequence[str]) -> str:
    """The step-by-step prompt with knowledge texts, best first; at least one."""
    block = "\n\n".join(knowledge)
    return f"{_INSTRUCTION}\n\nKnowledge:\n{block}\n\nQuestion: {question}\nAnswer: {STEP_CUE}"


def knowledge_texts(
    entries: Sequence[Retrieved], conclusions: Sequence[Conclusion]
) -> tuple[str, ...]:
    """What of a lookup the student reads: each note, then what the graph adds as one text.

    Args:
        entries: found and related ones, best first; rules among them are left out.
        conclusions: what the rules say about the question.
    """
    notes = [one.entry.text for one in entries if one.entry.kind is EntryKind.NOTE]
    facts = [one.entry.text for one in entries if one.entry.kind is EntryKind.FACT]
    graph = graph_text(facts, [one.text for one in conclusions])
    return (*notes, graph) if graph else tuple(notes)


def graph_text(facts: Sequence[str], conclusions: Sequence[str]) -> str:
    """What the knowledge graph adds, as one more knowledge text; "" when it adds nothing.

    Conclusions stand last, next to the question, and rules are left out: a small student
    reads off what it read last, and would go on writing rules instead of applying one.
    """
    parts = (("Facts", facts), ("What follows", conclusions))
    return "\n".join(
        f"{name}:\n" + "\n".join(f"- {line}" for line in lines) for name, lines in parts if lines
    )


def conclusion_bridge(rationale: str) -> str:
    """What goes between a rationale without an answer and the answer asked of the student.

    Asking again for the answer alone is the second stage of zero-shot chain of thought
    (Kojima et al. 2022, section 3); NesyCD counts such outputs as wrong instead.
    """
    return ANSWER_CUE if rationale.endswith("\n") else f"\n{ANSWER_CUE}"
