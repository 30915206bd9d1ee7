"""The report and its plots, from hand-made attempts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.common.records import GateDecision
from tests.unit.training.evaluation.attempts import answered
from training.evaluation import harness
from training.evaluation.report import report
from training.evaluation.results import BBH_TRAINED, BBH_UNKNOWN, Results, benchmarks
from training.evaluation.score import Answered
from training.evaluation.writing import write_results

GOLDEN = Path(__file__).parent / "golden" / "report.txt"


def _system(right: int) -> list[Answered]:
    """Ten questions of two BBH tasks and five of SVAMP."""
    decisions = (GateDecision.DIRECT, GateDecision.REASON_WITH_KNOWLEDGE)
    rows = [
        answered(
            number,
            correct=number < right,
            dataset="bbh",
            task="snarks" if number % 2 else "navigate",
            decision=decisions[number % 2],
        )
        for number in range(10)
    ]
    return [*rows, *(answered(number, correct=number < right) for number in range(5))]


def _results(**changes: object) -> Results:
    systems = {"base": _system(2), "std-cot": _system(5), "nesycd-adaptive": _system(8)}
    values: dict[str, object] = {
        "student": "SmolLM2-135M-Instruct (vllm)",
        "max_new_tokens": 512,
        "threshold": 0.61,
        "calibration": "chosen on 200 questions",
        "benchmarks": benchmarks(systems, trained_on={"bbh"}),
    }
    return Results.model_validate(values | changes)


def test_the_report_has_every_part_and_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "why_absent", lambda: "not installed")
    text = report(_results(no_harness="not installed"))
    shape = re.sub(r"[+-]?\d+(\.\d+)?", "#", text)
    assert shape == GOLDEN.read_text()


def test_each_number_of_the_report_stands_with_its_interval() -> None:
    text = report(_results())
    assert "| std-cot | 5 of 10 | 50.0 (23.7 to 76.3) |" in text
    assert "| std-cot | base | +30.0 (" in text


@pytest.mark.parametrize(
    ("trained_on", "remark"), [({"bbh"}, BBH_TRAINED), (None, BBH_UNKNOWN), ({"gsm8k"}, "")]
)
def test_a_bbh_score_says_what_was_trained_on(trained_on: set[str] | None, remark: str) -> None:
    bbh, svamp = benchmarks({"base": _system(2)}, trained_on=trained_on)
    assert (bbh.dataset, bbh.remark) == ("bbh", remark)
    assert svamp.remark == ""
    text = report(_results(benchmarks=(bbh, svamp)))
    assert text.count(f"> {remark}") == bool(remark)


def test_without_the_harness_the_reason_stands_in_its_place() -> None:
    assert "Left out: lm-eval is away." in report(_results(no_harness="lm-eval is away"))


def test_an_interval_of_a_gain_that_may_be_none_holds_zero() -> None:
    rows = _system(5)
    (bbh, _) = benchmarks({"base": rows, "std-cot": rows}, trained_on=())
    (one,) = bbh.comparisons
    assert (one.gained, one.lost, one.p) == (0, 0, 1.0)
    assert one.low < 0 < one.high


def test_results_report_and_a_plot_for_each_picture_in_it_are_written(tmp_path: Path) -> None:
    results = _results()
    write_results(results, tmp_path)
    text = (tmp_path / "report.md").read_text()
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert pictures == ["accuracy.png", "bbh-tasks.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert Results.model_validate_json((tmp_path / "results.json").read_bytes()) == results


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{tmp_path}/away/results.json cannot be written"):
        write_results(_results(), tmp_path / "away")
