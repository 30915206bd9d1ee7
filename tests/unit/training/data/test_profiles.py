from __future__ import annotations

import re
from typing import get_args

import pytest

from training import config
from training.data.profiles import PROFILES


def test_there_is_one_for_every_name_of_the_configuration() -> None:
    assert set(PROFILES) == set(get_args(config.Profile))


@pytest.mark.parametrize("name", PROFILES)
def test_task_names_are_in_snake_case(name: str) -> None:
    assert PROFILES[name].licence
    for task in PROFILES[name].tasks:
        assert re.fullmatch(r"[a-z0-9_]+", task)


def test_bbh_has_its_27_tasks_and_its_authors_wish() -> None:
    assert len(PROFILES["bbh"].tasks) == 27
    assert "stay out of training corpora" in PROFILES["bbh"].wish


@pytest.mark.parametrize(
    ("profile", "hub", "subset", "task"),
    [
        ("gsm8k", "openai/gsm8k", "main", "gsm8k"),
        ("bbh", "lukaemon/bbh", "word_sorting", "word_sorting"),
        ("agieval", "hails/agieval-aqua-rat", "", "aqua_rat"),
        ("agieval", "someone/agieval", "lsat-ar", "lsat_ar"),
    ],
)
def test_a_datasets_task_is_told_by_its_subset_or_name(
    profile: str, hub: str, subset: str, task: str
) -> None:
    assert PROFILES[profile].task_of(hub, subset) == task
