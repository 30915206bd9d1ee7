from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from training.config import Teacher
from training.teachers import factory
from training.teachers.endpoint import ChatEndpoint
from training.teachers.factory import (
    check_teacher,
    open_teacher,
    prepare_teacher,
    requests_in_flight,
    teacher_name,
    teacher_settings,
)
from training.teachers.fake import ScriptedTeacher
from training.teachers.ledger import LEDGER
from training.teachers.local import LocalModel
from training.teachers.recorded import RecordedRationales

ENDPOINT = {"kind": "endpoint", "base_url": "http://teacher.test/v1", "model": "m"}
LOCAL = {"kind": "local", "student": {"backend": "scripted"}, "chat": False}


def spec(**values: object) -> Teacher:
    return TypeAdapter(Teacher).validate_python(values)


async def test_each_kind_opens_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    path = tmp_path / "r.jsonl"
    path.write_text('{"id": "q", "rationale": "x"}\n')
    kinds = {
        ChatEndpoint: ENDPOINT,
        LocalModel: LOCAL,
        RecordedRationales: {"kind": "recorded", "paths": [path]},
        ScriptedTeacher: {"kind": "scripted"},
    }
    for kind, values in kinds.items():
        teacher = open_teacher(spec(**values), tmp_path)
        assert type(teacher) is kind
        await teacher.close()


def test_only_a_local_model_has_to_be_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(settings: Settings, on_progress: Callable[[str], None]) -> str:
        on_progress(f"fetching {settings.student.model}")
        return ""

    monkeypatch.setattr(factory, "prepare_student", prepare)
    said: list[str] = []
    kinds = [ENDPOINT, LOCAL, {"kind": "scripted"}, {"kind": "local", "student": {"model": "a/b"}}]
    for values in kinds:
        prepare_teacher(spec(**values), said.append)
    assert said == ["fetching a/b"]


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("MENTOR_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MENTOR_KEY", value)
    with pytest.raises(
        ConfigurationError, match=r"key_variable: the environment has no MENTOR_KEY"
    ):
        check_teacher(spec(**ENDPOINT, key_variable="MENTOR_KEY"))


def test_an_endpoint_without_a_key_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    check_teacher(spec(**ENDPOINT, key_variable=""))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": "https://me:sk-1@teacher.test/v1"}, "teacher.base_url: holds a user"),
        ({"budget_usd": 5}, "teacher.budget_usd: 5.0 caps nothing"),
    ],
)
def test_an_endpoint_that_contradicts_itself_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_teacher(spec(**{**ENDPOINT, "key_variable": "", **changes}))
    assert str(caught.value).startswith(said)
    assert "sk-1" not in str(caught.value)


def test_a_recorded_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"r\.jsonl is no file"):
        check_teacher(spec(kind="recorded", paths=[tmp_path / "r.jsonl"]))


def test_a_damaged_ledger_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text("?\n")
    with pytest.raises(ConfigurationError, match=r"ledger.jsonl:1"):
        open_teacher(spec(**ENDPOINT, key_variable=""), tmp_path)


def test_settings_hold_what_the_texts_depend_on_and_no_more(tmp_path: Path) -> None:
    same = [
        spec(**ENDPOINT),
        spec(**ENDPOINT, budget_usd=9, in_flight=2, retries=0, key_variable="K"),
    ]
    assert teacher_settings(same[0]) == teacher_settings(same[1])
    other = [
        spec(**{**ENDPOINT, "model": "n"}),
        spec(**LOCAL),
        spec(**{**LOCAL, "chat": True}),
        spec(kind="scripted"),
        spec(kind="recorded", paths=[tmp_path / "a"]),
    ]
    described = [str(teacher_settings(one)) for one in (same[0], *other)]
    assert len(set(described)) == len(described)
    moved = spec(kind="recorded", paths=[tmp_path / "elsewhere" / "a"])
    assert teacher_settings(moved) == teacher_settings(other[-1])


def test_names_and_requests_in_flight() -> None:
    assert teacher_name(spec(**ENDPOINT)) == "m at http://teacher.test/v1"
    assert requests_in_flight(spec(**ENDPOINT, in_flight=3)) == 3
    assert requests_in_flight(spec(kind="scripted")) > 1
