from __future__ import annotations

import pickle
from pathlib import Path

from tests.unit.training.data.questions import question
from training.config import TeachConfig
from training.rows import Rationale
from training.teachers.writing import RationaleWriter, wanted

CONFIG = TeachConfig.model_validate({"teacher": {"kind": "scripted"}, "max_new_tokens": 3})


def test_the_first_sample_of_every_question_comes_before_any_second_one() -> None:
    keys = [one.key for one in wanted([question(1), question(2)], 2)]
    assert keys == [
        "bbh-navigate-00001#0",
        "bbh-navigate-00002#0",
        "bbh-navigate-00001#1",
        "bbh-navigate-00002#1",
    ]


async def test_a_writer_travels_to_another_process_before_it_is_open(tmp_path: Path) -> None:
    writer = pickle.loads(pickle.dumps(RationaleWriter(CONFIG, tmp_path)))  # noqa: S301
    await writer.open()
    (item,) = wanted([question()], 1)
    row = await writer(item)
    assert row == Rationale(
        key="bbh-navigate-00001#0",
        question="bbh-navigate-00001",
        teacher="scripted",
        text="Let me think.",
        prompt_tokens=row.prompt_tokens,
        completion_tokens=3,
    )
    assert row.prompt_tokens > 50
    for _ in range(2):
        await writer.close()
