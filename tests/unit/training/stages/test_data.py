from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.data.questions import record, write
from tests.unit.training.stages.first_stages import FirstStages, rows
from training.stage import Estimate
from training.stages.data import STAGE


@pytest.fixture
def stages(tmp_path: Path) -> FirstStages:
    return FirstStages(tmp_path, questions=40)


def test_the_stage_writes_three_files_and_a_card(stages: FirstStages) -> None:
    write(stages.train, *map(record, range(1, 41)), record(50, question=record(90)["question"]))
    folder, manifest = stages.result("data", stages.config(data={"dev_share": 0.2}))
    count = {name: len(rows(folder / f"{name}.jsonl")) for name in ("train", "dev", "test")}
    assert count["train"] + count["dev"] == 40
    assert count["test"] == 2
    assert manifest.counts == count | {
        "tasks": 1,
        "dropped, the same text is a test question": 1,
    }
    card = (folder / "card.md").read_text()
    assert "- **Train files**: train.jsonl\n- **Test files**: test.jsonl" in card
    assert "suzgunmirac/BIG-Bench-Hard@9ee07bd481fe" in card
    assert "- **Licence**: bbh: MIT" in card
    assert "authors of BIG-Bench Hard ask that it stay out of training corpora" in card
    assert f"| bbh | navigate | {count['train']} | {count['dev']} | 2 |" in card
    assert "- **Left out: the same text is a test question**: 1" in card


def test_the_same_files_give_the_same_bytes_wherever_they_lie(
    stages: FirstStages, tmp_path: Path
) -> None:
    folder, manifest = stages.result("data")
    (tmp_path / "elsewhere").mkdir()
    moved = FirstStages(tmp_path / "elsewhere", questions=40)
    again, other = moved.result("data")
    assert again.name == folder.name
    assert other.outputs == manifest.outputs


def test_seed_share_and_files_make_another_result(stages: FirstStages) -> None:
    configs = [
        stages.config(),
        stages.config(seed=1),
        stages.config(data={"dev_share": 0.5}),
        stages.config(data={"test": []}),
    ]
    folders = {stages.result("data", config)[0] for config in configs}
    assert len(folders) == len(configs)


def test_a_pinned_dataset_makes_another_result_and_no_pin_leaves_the_key_as_it_was(
    stages: FirstStages,
) -> None:
    hub = {"profile": "gsm8k", "hub": "openai/gsm8k"}
    newest = stages.config(data={"train": [hub]})
    pinned = stages.config(data={"train": [hub | {"revision": "v2"}]})
    (described,) = STAGE.settings(newest)["train"]
    assert "revision" not in described
    (described,) = STAGE.settings(pinned)["train"]
    assert described["revision"] == "v2"


def test_train_and_test_cannot_be_mistaken_for_each_other(stages: FirstStages) -> None:
    one = {"profile": "bbh", "path": stages.train}
    two = {"profile": "bbh", "path": stages.test}
    there = stages.config(data={"train": [one], "test": [two]})
    back = stages.config(data={"train": [two], "test": [one]})
    assert stages.result("data", there)[0] != stages.result("data", back)[0]


def test_a_bad_row_stops_the_stage_and_leaves_nothing_done(stages: FirstStages) -> None:
    write(stages.test, record(90), record(91, answer=""))
    with pytest.raises(ConfigurationError, match=r"test\.jsonl:2: answer: .*is empty"):
        stages.run("data")
    (standing, *_) = stages.of().standings()
    assert standing.manifest is None
    write(stages.test, record(90), record(91))
    assert stages.result("data")[1].counts["test"] == 2


def test_the_estimate_costs_nothing(stages: FirstStages) -> None:
    ((_, estimate),) = stages.of().estimates("data")
    assert estimate == Estimate(note=estimate.note)
    assert STAGE.needs == ()
