"""Stages fit-sp and fit-se over the outputs of the stages before them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.fitting.fits import FAST, mixed
from tests.unit.training.stages.runs import config, give, job
from training.manifest import outputs_of
from training.row_file import read_rows
from training.rows import Example, Question, Rationale
from training.stages.fit import FIT_SE, FIT_SP

QUESTIONS = [
    Question(key=f"q{number}", dataset="bbh", task="logic", text="A or B?", gold="A")
    for number in range(4)
]
KEPT = [
    Rationale(key=f"{one.key}#0", question=one.key, text="So.\nTherefore, the answer is A.")
    for one in QUESTIONS
]


def given(folder: Path, student: Path | str = "some/model") -> dict[str, object]:
    give(folder, "data/train.jsonl", list(QUESTIONS))
    give(folder, "filter/kept.jsonl", list(KEPT))
    fit = FAST.model_dump()
    return {"student": {"model": str(student)}, "fit_sp": fit, "fit_se": fit}


def test_s_p_is_fitted_on_the_kept_rationales_and_s_e_goes_on_from_it(
    student: Path, tmp_path: Path
) -> None:
    sections = given(tmp_path, student)
    first = job(tmp_path, "fit-sp", **sections)
    counts = FIT_SP.run(first)
    assert counts["DC examples"] == 4
    examples = list(read_rows(first.folder / ".examples.jsonl", Example))
    assert examples[0].prompt.endswith("Answer: Let's think step by step.")
    assert examples[0].completion == " So.\nTherefore, the answer is A."
    names = {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    made = {f"adapters/sp/v1/{name}" for name in names}
    assert set(outputs_of(first.folder)) == made | {"losses.jsonl"}
    card = (first.folder / "adapters/sp/v1/README.md").read_text()
    assert "Train questions of bbh; rationales of a script, without a model." in card
    assert "which every score on BBH has to say" in card
    give(tmp_path, "mix/examples.jsonl", list(mixed(6)))
    second = job(tmp_path, "fit-se", **sections)
    counts = FIT_SE.run(replace(second, inputs=second.inputs | {"mix": tmp_path / "mix"}))
    assert (counts["AD examples"], counts["AP examples"], counts["DC examples"]) == (2, 2, 2)
    assert (
        "the adapter fitted before it" in (second.folder / "adapters/se/v1/README.md").read_text()
    )


def test_how_the_work_is_divided_is_no_part_of_the_result(tmp_path: Path) -> None:
    def settings(**fit: object) -> dict[str, object]:
        values = FAST.model_dump() | fit
        return FIT_SP.settings(config(tmp_path, fit_sp=values, fit_se=values))

    same = settings(processes=2, micro_batch_size=4, save_steps=1)
    assert same == settings(micro_batch_size=4)
    assert same != settings(micro_batch_size=4, epochs=2)


def test_the_estimate_counts_rows_tokens_and_seconds(tmp_path: Path) -> None:
    sections = given(tmp_path)
    estimate = FIT_SP.estimate(job(tmp_path, "fit-sp", **sections))
    assert estimate.rows == 4
    assert estimate.completion_tokens == round(4 * len(KEPT[0].text + " ") / 3.5)
    assert estimate.seconds > 0


def test_a_rationale_of_an_unknown_question_is_refused(tmp_path: Path) -> None:
    sections = given(tmp_path)
    give(tmp_path, "filter/kept.jsonl", [KEPT[0].model_copy(update={"question": "q9"})])
    with pytest.raises(ConfigurationError, match=r"kept.jsonl: question: 'q9' of 'q0#0' is not"):
        FIT_SP.run(job(tmp_path, "fit-sp", **sections))
