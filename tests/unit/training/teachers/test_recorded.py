from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.teachers.teacher_suite import QUESTION, TeacherSuite, asked
from training.teachers.protocol import Message, NoReplyError, Prompt, Teacher
from training.teachers.recorded import RecordedRationales


def write(path: Path, *rows: dict[str, object]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


class TestRecordedRationales(TeacherSuite):
    @pytest.fixture
    def teacher(self, tmp_path: Path) -> Teacher:
        row = {"id": QUESTION, "rationale": " So the answer is 3.\n", "teacher": "davinci"}
        return RecordedRationales([write(tmp_path / "r.jsonl.gz", row)])

    @pytest.fixture
    def hopeless(self) -> Prompt:
        return asked(question="bbh-navigate-00002")


async def test_several_rows_of_a_question_are_its_samples(tmp_path: Path) -> None:
    words = write(tmp_path / "words.jsonl", {"id": "q", "rationale": "in words", "teacher": "a"})
    code = write(tmp_path / "code.jsonl", {"id": "q", "rationale": "in code", "correct": True})
    teacher = RecordedRationales([words, code])

    def sample(number: int) -> Prompt:
        return Prompt((Message("user", "?"),), 9, question="q", sample=number)

    replies = [await teacher.write(sample(number)) for number in (0, 1)]
    assert [(one.text, one.model) for one in replies] == [
        ("in words", "a"),
        ("in code", "code.jsonl"),
    ]
    with pytest.raises(NoReplyError, match=r"^no recorded rationale of 'q', sample 2$"):
        await teacher.write(sample(2))


async def test_a_null_rationale_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", {"id": "q", "rationale": None, "answer": "3"})
    with pytest.raises(NoReplyError, match=r"^no recorded rationale of 'q'$"):
        await RecordedRationales([path]).write(asked(question="q"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "q", "rationale": "x"}\n{"id": "q"\n', ":2: row: Invalid JSON"),
        ('{"id": "q"}\n', ":1: rationale: Field required"),
        ('{"id": 7, "rationale": "x"}\n', ":1: id: Input should be a valid string, got 7"),
        ("", " is empty"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        RecordedRationales([path])
    assert str(caught.value).startswith(f"{path}{said}")
