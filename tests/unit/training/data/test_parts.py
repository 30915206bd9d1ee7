from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.data.questions import record, write
from training.config import DataConfig, Source
from training.data.parts import IN_TEST, REPEATED, load_parts, read_source


def source(path: Path, *records: object, **changes: object) -> Source:
    return Source(profile="bbh", path=write(path, *records), **changes)


def test_dev_is_split_off_by_key_and_adding_questions_moves_no_other(tmp_path: Path) -> None:
    records = [record(number) for number in range(1, 201)]
    few = source(tmp_path / "few.jsonl", *records[:150])
    more = source(tmp_path / "more.jsonl", *records)
    parts = load_parts(DataConfig(train=(few,), dev_share=0.2), seed=3)
    assert len(parts.train) + len(parts.dev) == 150
    assert 15 < len(parts.dev) < 45
    larger = load_parts(DataConfig(train=(more,), dev_share=0.2), seed=3)
    assert {one.key for one in parts.dev} <= {one.key for one in larger.dev}
    assert {one.key for one in parts.train} <= {one.key for one in larger.train}
    other = load_parts(DataConfig(train=(few,), dev_share=0.2), seed=4)
    assert other.dev != parts.dev


def test_a_train_question_whose_text_is_tested_is_dropped_and_counted(tmp_path: Path) -> None:
    train = [record(1), record(2, question="Turn  LEFT.\nReturn?"), record(3)]
    test = [record(4, question="Turn left. Return?")]
    config = DataConfig(
        train=(source(tmp_path / "train.jsonl", *train),),
        test=(source(tmp_path / "test.jsonl", *test),),
        dev_share=0,
    )
    parts = load_parts(config, seed=0)
    assert [one.key[-1] for one in parts.train] == ["1", "3"]
    assert [one.key[-1] for one in parts.test] == ["4"]
    assert parts.dropped == {IN_TEST: 1}


def test_a_text_that_is_trained_on_already_is_dropped_and_counted(tmp_path: Path) -> None:
    twins = [record(1), record(2, question=record(1)["question"])]
    config = DataConfig(train=(source(tmp_path / "t.jsonl", *twins),), dev_share=0)
    parts = load_parts(config, seed=0)
    assert [one.key[-1] for one in parts.train] == ["1"]
    assert parts.dropped == {REPEATED: 1}


@pytest.mark.parametrize("where", ["train", "test"])
def test_an_id_that_comes_twice_is_refused(tmp_path: Path, where: str) -> None:
    one = source(tmp_path / "one.jsonl", record(1), record(2))
    two = source(tmp_path / "two.jsonl", record(3), record(2, question="Another one?"))
    sources = {"train": (one, two)} if where == "train" else {"train": (one,), "test": (two,)}
    with pytest.raises(ConfigurationError, match=r"1 ids .* the first 'bbh-navigate-00002'$"):
        load_parts(DataConfig(**sources), seed=0)


def test_max_examples_is_of_each_source(tmp_path: Path) -> None:
    records = [record(number) for number in range(1, 9)]
    one = source(tmp_path / "one.jsonl", *records[:4], max_examples=3)
    two = source(tmp_path / "two.jsonl", *records[4:], max_examples=1)
    parts = load_parts(DataConfig(train=(one, two), dev_share=0), seed=0)
    assert sum(one.key[-1] in "1234" for one in parts.train) == 3
    assert len(parts.train) == 4
    assert read_source(two, seed=0) == [one for one in parts.train if one.key[-1] in "5678"]


def test_nothing_left_to_learn_from_is_refused(tmp_path: Path) -> None:
    train = source(tmp_path / "train.jsonl", record(1))
    test = source(tmp_path / "test.jsonl", record(2, question=record(1)["question"]))
    with pytest.raises(ConfigurationError, match=rf"^data\.train: .*{IN_TEST}: 1"):
        load_parts(DataConfig(train=(train,), test=(test,)), seed=0)


def test_a_dev_share_too_small_for_one_question_is_refused(tmp_path: Path) -> None:
    train = source(tmp_path / "train.jsonl", record(1), record(2))
    with pytest.raises(ConfigurationError, match=r"^data\.dev_share: 0\.001 of 2 questions"):
        load_parts(DataConfig(train=(train,), dev_share=0.001), seed=0)
