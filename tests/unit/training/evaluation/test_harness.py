"""Our texts as lm-evaluation-harness reads them."""

from __future__ import annotations

import importlib.util
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from services.common.records import GateDecision
from tests.needs import missing
from tests.unit.training.evaluation.attempts import answered
from training.evaluation import harness
from training.evaluation.harness import READINGS, read, written

BBH = READINGS["bbh"][0].name
STRICT, FLEXIBLE = (reading.name for reading in READINGS["gsm8k"])


@pytest.fixture(scope="module", autouse=True)
def _harness() -> None:
    if harness.why_absent():
        missing(harness.why_absent())


def _reads(text: str, gold: str, dataset: str) -> dict[str, bool]:
    rows = [answered(1, correct=True, dataset=dataset, gold=gold, rationale=text)]
    return {name: bool(share.right) for name, share in read(rows, dataset).items()}


@pytest.mark.parametrize(
    ("text", "gold", "is_right"),
    [
        ("Therefore, the answer is (B).", "(B)", True),
        ("Therefore, the answer is (B)", "(B)", False),  # the last character is eaten
        ("Therefore, the answer is 18", "1", True),
        ("the answer is (A). No: the answer is (B).", "(B)", False),  # the first one counts
        ("Therefore, the answer is True.\nDone", "True", True),
        ("It is (B).", "(B)", False),
    ],
)
def test_bbh_is_read_after_the_first_cue_less_a_character(
    text: str, gold: str, is_right: bool
) -> None:
    assert _reads(text, gold, "bbh") == {BBH: is_right}


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("So #### 18", True, True),
        ("Therefore, the answer is 18.", False, True),
        ("Therefore, the answer is $1,018.", False, False),
        ("18 apples of 20", False, False),  # the last number counts
    ],
)
def test_gsm8k_has_a_strict_and_a_flexible_reading(text: str, strict: bool, flexible: bool) -> None:
    assert _reads(text, "18", "gsm8k") == {STRICT: strict, FLEXIBLE: flexible}


def test_a_direct_answer_is_read_behind_its_cue() -> None:
    row = answered(7, correct=True, decision=GateDecision.DIRECT, rationale="")
    assert written(row.attempt) == "Therefore, the answer is 7."
    assert read([row], "svamp")[FLEXIBLE].right == 1


def test_multiple_choice_that_it_scores_by_likelihood_is_left_out() -> None:
    assert read([answered(1, correct=True, dataset="arc_easy")], "arc_easy") == {}


def test_without_it_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(harness, "find_spec", find)
    assert "pip install 'nesycd[eval]'" in harness.why_absent()


@pytest.mark.parametrize(
    ("dataset", "file"),
    [("gsm8k", "gsm8k/gsm8k.yaml"), ("bbh", "bbh/cot_fewshot/_cot_fewshot_template_yaml")],
)
def test_patterns_are_those_of_its_own_tasks(dataset: str, file: str) -> None:
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "tasks" / file).read_text()
    patterns = [found.replace("\\\\", "\\") for found in re.findall(r'regex_pattern: "(.*)"', text)]
    assert [reading.pattern for reading in READINGS[dataset]] == patterns
    ignored = re.findall(r'^      - "(.*)"$', text.partition("generation_kwargs")[0], re.MULTILINE)
    assert list(READINGS[dataset][0].ignored) == [one.replace("\\\\", "\\") for one in ignored]
