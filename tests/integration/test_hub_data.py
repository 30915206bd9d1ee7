"""Hugging Face datasets, read by the real library from folders that are laid out as on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError
from training.config import Source
from training.data.hub import fetch_questions
from training.data.profiles import PROFILES, Part
from training.rows import Question

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def build(folder: Path, subsets: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """A dataset of the hub: subset -> split -> rows. Returns its name."""
    folder.mkdir()
    page = ["---", "configs:"]
    for subset, splits in subsets.items():
        page += [f"- config_name: {subset}", "  data_files:"]
        for split, rows in splits.items():
            name = f"{subset}-{split}.jsonl"
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
            page += [f"  - split: {split}", f"    path: {name}"]
    (folder / "README.md").write_text("\n".join([*page, "---", ""]))
    return str(folder)


def fetch(profile: str, part: Part = "train", **source: Any) -> list[Question]:
    read = Source.model_validate({"profile": profile, **source})
    return fetch_questions(read, PROFILES[profile], part)


def gsm8k(number: int) -> dict[str, str]:
    return {"question": f"What is {number}?", "answer": f"It is {number}.\n#### {number}"}


def bbh(task: str, count: int) -> list[dict[str, str]]:
    return [{"input": f"{task} {number}", "target": "No"} for number in range(count)]


def test_a_part_is_read_from_the_profiles_subset_and_split(tmp_path: Path) -> None:
    splits = {"train": [gsm8k(1), gsm8k(2)], "test": [gsm8k(3)]}
    hub = build(tmp_path / "gsm8k", {"main": splits, "socratic": {"train": [gsm8k(9)]}})
    assert fetch("gsm8k", hub=hub) == [
        Question(
            key=f"gsm8k-train-{number:05}",
            dataset="gsm8k",
            task="gsm8k",
            text=f"What is {number}?",
            gold=str(number),
            rationale=f"It is {number}.",
        )
        for number in (1, 2)
    ]
    (tested,) = fetch("gsm8k", "test", hub=hub)
    assert tested.key == "gsm8k-test-00001"
    (named,) = fetch("gsm8k", "test", hub=hub, subset="main", split="train[:1]")
    assert named.key == "gsm8k-train_1-00001"


def test_every_subset_of_bbh_is_divided_into_train_and_test(tmp_path: Path) -> None:
    tasks = {task: {"test": bbh(task, 11)} for task in ("navigate", "snarks")}
    hub = build(tmp_path / "bbh", tasks)
    train, test = fetch("bbh", hub=hub), fetch("bbh", "test", hub=hub)
    assert (len(train), len(test)) == (16, 6)
    assert len({one.key for one in (*train, *test)}) == 22
    assert {one.task for one in test} == {"navigate", "snarks"}
    assert train[0].key.startswith("bbh-navigate-000")
    assert len(fetch("bbh", hub=hub, subset="snarks")) == 8
    assert len(fetch("bbh", "test", hub=hub, subset="snarks", split="test")) == 11


@pytest.mark.parametrize(
    ("profile", "source", "said"),
    [
        ("gsm8k", {"subset": "other"}, r"gsm8k other cannot be read: .*other"),
        ("gsm8k", {"split": "dev"}, r"gsm8k main cannot be read: .*dev"),
        ("bbh", {"subset": "main"}, r"task: profile bbh has none of that name, got 'main'"),
        ("svamp", {"subset": "main"}, r"gsm8k main train:1: Body: Field required"),
        ("agieval", {"subset": "sat_en"}, r"split: profile agieval has none for train"),
    ],
)
def test_what_a_dataset_does_not_have_is_refused(
    tmp_path: Path, profile: str, source: dict[str, str], said: str
) -> None:
    hub = build(tmp_path / "gsm8k", {"main": {"train": [gsm8k(1)]}})
    with pytest.raises(ConfigurationError, match=rf"(?s){said}"):
        fetch(profile, hub=hub, **source)


def test_a_row_that_is_wrong_is_refused_by_its_place(tmp_path: Path) -> None:
    rows = [
        gsm8k(1),
        {"question": "What?", "answer": "no mark"},
        {"question": "", "answer": "#### 1"},
    ]
    hub = build(tmp_path / "gsm8k", {"main": {"train": rows, "test": rows[2:]}})
    with pytest.raises(ConfigurationError, match=r"gsm8k main train:2: answer: has no line"):
        fetch("gsm8k", hub=hub)
    with pytest.raises(ConfigurationError, match=r"gsm8k main test:1: question: .*is empty"):
        fetch("gsm8k", "test", hub=hub)


def test_a_dataset_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere main cannot be read"):
        fetch("gsm8k", hub=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="nowhere cannot be read"):
        fetch("bbh", hub=str(tmp_path / "nowhere"))
