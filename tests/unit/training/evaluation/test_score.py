"""Scores and comparisons of hand-made attempts."""

from __future__ import annotations

from services.common.records import GateDecision
from tests.unit.training.evaluation.attempts import answered
from training.evaluation.comparison import compare, comparisons
from training.evaluation.score import by_dataset, score


def test_micro_counts_questions_and_macro_counts_tasks() -> None:
    found = score(
        [
            answered(1, correct=True, task="adding"),
            answered(2, correct=True, task="adding"),
            answered(3, correct=True, task="adding"),
            answered(4, correct=False, task="sorting"),
        ]
    )
    assert (found.micro.right, found.micro.n, found.micro.accuracy) == (3, 4, 0.75)
    assert (found.macro.tasks, found.macro.accuracy) == (2, 0.5)
    assert list(found.tasks) == ["adding", "sorting"]
    assert found.tasks["sorting"].n == 1


def test_unparsed_and_degenerate_texts_are_counted_apart() -> None:
    found = score(
        [
            answered(1, correct=False, unparsed=True, degenerate="loop"),
            answered(2, correct=True, degenerate="truncated"),
            answered(3, correct=False, degenerate="loop"),
        ]
    )
    assert found.unparsed == 1
    assert found.degenerate == {"loop": 2, "truncated": 1}
    assert found.micro.right == 1


def test_shares_go_by_the_decision_of_the_gate() -> None:
    found = score(
        [
            answered(1, correct=True, decision=GateDecision.DIRECT),
            answered(2, correct=False, decision=GateDecision.DIRECT),
            answered(3, correct=True, decision=GateDecision.REASON_WITH_KNOWLEDGE),
        ]
    )
    assert {name: (share.right, share.n) for name, share in found.decisions.items()} == {
        "direct": (1, 2),
        "reason_with_knowledge": (1, 1),
    }


def test_tokens_are_means_and_seconds_a_median() -> None:
    found = score(
        [
            answered(1, correct=True, prompt_tokens=10, completion_tokens=1, seconds=1.0),
            answered(2, correct=True, prompt_tokens=20, completion_tokens=3, seconds=2.0),
            answered(3, correct=True, prompt_tokens=60, completion_tokens=8, seconds=90.0),
        ]
    )
    assert (found.prompt_tokens, found.completion_tokens, found.seconds) == (30.0, 4.0, 2.0)


def test_a_question_too_long_for_the_student_is_wrong_and_has_no_decision() -> None:
    attempt = {"decision": "", "rationale": "", "answer": "", "unparsed": True}
    found = score([answered(1, correct=False, degenerate="too_long", **attempt)])
    assert found.decisions == {}
    assert found.degenerate == {"too_long": 1}


def test_benchmarks_are_scored_apart() -> None:
    groups = by_dataset([answered(1, correct=True), answered(1, correct=True, dataset="bbh")])
    assert {name: len(rows) for name, rows in groups.items()} == {"svamp": 1, "bbh": 1}


def test_systems_are_compared_on_the_questions_both_were_asked() -> None:
    ours = [answered(number, correct=number < 7) for number in range(10)]
    theirs = [answered(number, correct=number < 2) for number in range(1, 10)]
    found = compare("a", "b", {"a": ours, "b": theirs})
    assert (found.n, found.gained, found.lost) == (9, 5, 0)
    assert found.gain == 5 / 9
    assert found.p == 2 / 2**5


def test_only_systems_that_were_evaluated_are_compared() -> None:
    rows = [answered(1, correct=True)]
    made = comparisons({"base": rows, "std-cot": rows, "nesycd-m2": rows})
    assert [(one.system, one.against) for one in made] == [("std-cot", "base")]
