"""Examples: the prompts of the service, and completions that end where a student has to stop."""

from __future__ import annotations

import pytest

from services.common import answers, prompts
from training.examples import chain_of_thought, direct_answer, with_knowledge
from training.rows import Example, Question, Rationale

QUESTION = Question(key="q1", dataset="bbh", task="snarks", text="Which? (A) a (B) b", gold="(B)")
RATIONALE = Rationale(key="q1#0", question="q1", text="Not a.\nTherefore, the answer is (B).")
EXAMPLES = {
    "AP": direct_answer(QUESTION),
    "DC": chain_of_thought(QUESTION, RATIONALE),
    "AD": with_knowledge(QUESTION, RATIONALE, ["Read twice."], ["e1"]),
}


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        ("AP", prompts.render_ap(QUESTION.text)),
        ("DC", prompts.render_dc(QUESTION.text)),
        ("AD", prompts.render_ad(QUESTION.text, ["Read twice."])),
    ],
)
def test_the_prompt_is_the_service_s_own(task: str, prompt: str) -> None:
    assert EXAMPLES[task].prompt == prompt


@pytest.mark.parametrize("task", EXAMPLES)
def test_an_example_names_its_task_question_and_benchmark_task(task: str) -> None:
    example = EXAMPLES[task]
    assert (example.task, example.question, example.benchmark_task) == (task, "q1", "snarks")
    assert example.key.startswith(f"{task}/q1")
    assert example.weight == 1


@pytest.mark.parametrize("task", EXAMPLES)
def test_a_completion_joins_its_prompt_as_a_student_would_write_it(task: str) -> None:
    example = EXAMPLES[task]
    assert not example.prompt.endswith(" ")
    assert example.completion.startswith(" ")
    assert not example.completion.startswith("  ")
    assert example.completion.endswith(".")


@pytest.mark.parametrize("task", EXAMPLES)
def test_the_answer_that_is_learnt_is_right(task: str) -> None:
    example = EXAMPLES[task]
    assert answers.is_correct(answers.extract(example.prompt + example.completion), QUESTION.gold)


def test_only_an_example_with_knowledge_names_entries() -> None:
    assert {task: example.knowledge for task, example in EXAMPLES.items()} == {
        "AP": (),
        "DC": (),
        "AD": ("e1",),
    }


@pytest.mark.parametrize(
    "example",
    [
        direct_answer(QUESTION, weight=0.5),
        chain_of_thought(QUESTION, RATIONALE, weight=0.5),
        with_knowledge(QUESTION, RATIONALE, ["k"], ["e"], weight=0.5),
    ],
)
def test_the_weight_is_the_row_s(example: Example) -> None:
    assert example.weight == 0.5
