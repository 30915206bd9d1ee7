"""Rows to fit on, from questions and rationales: one function per training task of NesyCD.

The prompts are those of the service, byte for byte; the completions begin with the space that
a student writes first, and end where it has to stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.common import prompts
from training.rows import Example, Question, Rationale


def direct_answer(question: Question, *, weight: float = 1.0) -> Example:
    """AP, answer prediction: the gold answer alone."""
    return Example(
        key=f"AP/{question.key}",
        task="AP",
        question=question.key,
        benchmark_task=question.task,
        prompt=prompts.render_ap(question.text),
        completion=f" {question.gold}.",
        weight=weight,
    )


def chain_of_thought(question: Question, rationale: Rationale, *, weight: float = 1.0) -> Example:
    """DC, direct chain of thought: a kept rationale, which ends in the answer sentence."""
    return Example(
        key=f"DC/{rationale.key}",
        task="DC",
        question=question.key,
        benchmark_task=question.task,
        prompt=prompts.render_dc(question.text),
        completion=f" {rationale.text}",
        weight=weight,
    )


def with_knowledge(
    question: Question,
    rationale: Rationale,
    texts: Sequence[str],
    entries: Sequence[str],
    *,
    weight: float = 1.0,
) -> Example:
    """AD, augmented distillation: the same rationale after the knowledge that was retrieved.

    Args:
        question: that the rationale is about.
        rationale: kept by the filter.
        texts: as the service would put them into the prompt; at least one.
        entries: ids of the entries they come from.
        weight: of the row's loss.
    """
    return Example(
        key=f"AD/{rationale.key}",
        task="AD",
        question=question.key,
        benchmark_task=question.task,
        prompt=prompts.render_ad(question.text, texts),
        completion=f" {rationale.text}",
        weight=weight,
        knowledge=tuple(entries),
    )
