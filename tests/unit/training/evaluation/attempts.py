"""Questions and attempts for the tests of what counts them."""

from __future__ import annotations

from services.common.records import GateDecision
from training.evaluation.score import Answered
from training.rows import Attempt, Question


def question(number: int, *, dataset: str = "svamp", task: str = "", gold: str = "") -> Question:
    """A question whose gold answer is its number."""
    return Question(
        key=f"{dataset}-{number}",
        dataset=dataset,
        task=task or dataset,
        text=f"How many are {number} apples?",
        gold=gold or str(number),
    )


def answered(
    number: int,
    correct: bool,
    *,
    dataset: str = "svamp",
    task: str = "",
    decision: str = GateDecision.REASON_WITHOUT_KNOWLEDGE,
    gold: str = "",
    **changes: object,
) -> Answered:
    """One question of a system, right or wrong."""
    asked = question(number, dataset=dataset, task=task, gold=gold)
    answer = asked.gold if correct else "none"
    values: dict[str, object] = {
        "key": f"some/{asked.key}",
        "question": asked.key,
        "answer": answer,
        "rationale": f"Counted. Therefore, the answer is {answer}.",
        "correct": correct,
        "decision": str(decision),
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "seconds": 0.5,
    }
    return Answered(asked, Attempt.model_validate(values | changes))
