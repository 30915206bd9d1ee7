from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.common.errors import ConfigurationError
from tests.unit.training.stages.first_stages import RATIONALE, FirstStages, rows
from tests.unit.training.teachers.endpoint_server import Endpoint, completion, refusal
from training.stages.teach import STAGE
from training.teachers import factory
from training.teachers.fake import ScriptedTeacher
from training.teachers.protocol import NoReplyError, Prompt

ENDPOINT = {
    "kind": "endpoint",
    "base_url": "http://teacher.test/v1",
    "model": "mentor",
    "key_variable": "",
    "in_flight": 1,
    "retries": 0,
    "usd_per_million_in": 1.0,
    "usd_per_million_out": 1e6,
}


@pytest.fixture
def stages(tmp_path: Path) -> FirstStages:
    return FirstStages(tmp_path)


def opened(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> None:
    """Puts a server of this process behind the configured endpoint."""

    def open_teacher(spec: Any, ledger_folder: Path) -> Any:
        factory.check_teacher(spec)
        return endpoint.teacher(ledger_folder, **spec.model_dump())

    monkeypatch.setattr(factory, "open_teacher", open_teacher)


def test_recorded_rationales_become_rows(stages: FirstStages) -> None:
    folder, manifest = stages.result("teach")
    written = rows(folder / "rationales.jsonl")
    assert sorted(one["key"] for one in written) == [
        f"bbh-navigate-{number:05}#0" for number in range(1, 7)
    ]
    assert written[0]["text"] == RATIONALE
    assert written[0]["teacher"] == "d"
    assert manifest.counts == {
        "rationales": 6,
        "errors": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
    }
    card = (folder / "card.md").read_text()
    assert "- **Teacher**: d (recorded in recorded.jsonl)" in card
    assert "stay out of training corpora" in card
    assert "| bbh | navigate | 6 | 0 |" in card


def test_a_question_without_a_recorded_rationale_is_an_error_row(stages: FirstStages) -> None:
    stages.write_recorded(lambda number: RATIONALE if number != 3 else None)
    folder, manifest = stages.result("teach")
    (failed,) = [one for one in rows(folder / "rationales.jsonl") if "error" in one]
    assert failed == {
        "key": "bbh-navigate-00003#0",
        "error": "no recorded rationale of 'bbh-navigate-00003'",
        "question": "bbh-navigate-00003",
    }
    assert (manifest.counts["rationales"], manifest.counts["errors"]) == (5, 1)


def test_no_rationale_at_all_is_no_result(stages: FirstStages) -> None:
    stages.recorded.write_text('{"id": "other", "rationale": "x"}\n')
    with pytest.raises(
        ConfigurationError, match=r"no question of 6 has a rationale; .*no recorded"
    ):
        stages.run("teach")


def test_the_scripted_teacher_counts_its_tokens(stages: FirstStages) -> None:
    folder, manifest = stages.result("teach", stages.config({"kind": "scripted"}))
    (one, *_) = rows(folder / "rationales.jsonl")
    assert one["text"] == "Let me think. Therefore, the answer is 42."
    assert manifest.counts["completion_tokens"] == 6 * one["completion_tokens"] > 0
    assert "version 1 of training/teachers/prompts.py" in (folder / "card.md").read_text()


def test_samples_of_a_question_are_rows_of_their_own(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(monkeypatch, Endpoint(lambda _: completion()))
    config = stages.config(ENDPOINT, teach={"teacher": ENDPOINT, "samples": 2, "temperature": 0.7})
    folder, _ = stages.result("teach", config)
    keys = sorted(one["key"] for one in rows(folder / "rationales.jsonl"))
    assert len(keys) == 12
    assert keys[:2] == ["bbh-navigate-00001#0", "bbh-navigate-00001#1"]


@pytest.mark.parametrize("kind", ["scripted", "local"])
def test_samples_of_a_greedy_teacher_are_refused(stages: FirstStages, kind: str) -> None:
    teacher: dict[str, Any] = {"kind": kind}
    if kind == "local":
        teacher |= {"student": {"backend": "scripted"}, "chat": False}
    config = stages.config(teach={"teacher": teacher, "samples": 2, "temperature": 0.7})
    with pytest.raises(ConfigurationError, match=rf"^teach\.samples: a {kind} teacher is greedy"):
        stages.run("teach", config)


def test_a_failed_request_is_tried_once_more_and_then_an_error_row(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def script(prompt: Prompt) -> str:
        asked.append(prompt.question)
        if prompt.question.endswith("2") or asked.count(prompt.question) == 1:
            raise NoReplyError("overloaded")
        return "So the answer is No."

    monkeypatch.setattr(factory, "open_teacher", lambda *_: ScriptedTeacher(script))
    folder, manifest = stages.result("teach", stages.config({"kind": "scripted"}))
    assert len(asked) == 12
    assert (manifest.counts["rationales"], manifest.counts["errors"]) == (5, 1)
    last = {one["key"]: one.get("error") for one in rows(folder / "rationales.jsonl")}
    assert [key for key, error in last.items() if error] == ["bbh-navigate-00002#0"]


def test_a_stopped_teacher_loses_nothing_and_the_next_run_asks_for_the_rest_alone(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [completion(), completion(), refusal(429, "pay", code="insufficient_quota")]
    first = Endpoint(lambda _: replies.pop(0))
    opened(monkeypatch, first)
    config = stages.config(ENDPOINT)
    with pytest.raises(ConfigurationError, match="the quota is gone"):
        stages.run("teach", config)
    second = Endpoint(lambda _: completion())
    opened(monkeypatch, second)
    _, manifest = stages.result("teach", config)
    assert len(second.requests) == 4
    assert manifest.counts["rationales"] == 6


def test_a_reached_budget_keeps_all_rows_and_a_higher_one_goes_on_in_the_same_folder(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint(lambda _: completion(usage=(0, 1)))  # a dollar each
    opened(monkeypatch, endpoint)

    def config(budget: float) -> Any:
        return stages.config(
            teach={"teacher": ENDPOINT | {"budget_usd": budget}, "max_new_tokens": 1}
        )

    with pytest.raises(ConfigurationError, match=r"^budget_usd: 3\.5 does not cover"):
        stages.run("teach", config(3.5))
    (begun,) = (stages.folder / "run").glob("teach-*")
    assert len(rows(begun / "rationales.jsonl")) == 3
    folder, manifest = stages.result("teach", config(50))
    assert folder == begun
    assert len(endpoint.requests) == 6
    assert manifest.counts["usd"] == pytest.approx(6)
    ledger = (stages.folder / "run" / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["usd"] for line in ledger] == [1.0] * 6


def test_an_endpoint_that_is_down_stops_the_stage_with_all_rows_kept(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [completion()]

    def answer(_: dict[str, Any]) -> httpx2.Response:
        if not replies:
            raise httpx2.ConnectError("connection refused")
        return replies.pop()

    opened(monkeypatch, Endpoint(answer))
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        stages.run("teach", stages.config(ENDPOINT))
    (begun,) = (stages.folder / "run").glob("teach-*")
    assert len(rows(begun / "rationales.jsonl")) == 1


def test_a_missing_key_is_refused_before_anything_is_asked(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MENTOR_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="no MENTOR_KEY"):
        stages.run("teach", stages.config(ENDPOINT | {"key_variable": "MENTOR_KEY"}))
    (folder,) = (stages.folder / "run").glob("teach-*")
    assert list(folder.iterdir()) == []


def test_the_estimate_says_tokens_time_and_money_of_what_is_left(
    stages: FirstStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stages.config(ENDPOINT)
    stages.run("data", config)
    *_, (_, estimate) = stages.of(config).estimates("teach")
    assert estimate.rows == 6
    assert 600 < estimate.prompt_tokens < 1200
    assert estimate.completion_tokens == 1200
    assert estimate.seconds == pytest.approx(30)
    assert estimate.usd == pytest.approx(1200, rel=1e-3)

    replies = [completion(), completion(), refusal(401)]
    opened(monkeypatch, Endpoint(lambda _: replies.pop(0)))
    with pytest.raises(ConfigurationError):
        stages.run("teach", config)
    *_, (_, estimate) = stages.of(config).estimates("teach")
    assert estimate.rows == 4


def test_a_recorded_teacher_is_free(stages: FirstStages) -> None:
    stages.run("data")
    *_, (_, estimate) = stages.of().estimates("teach")
    assert (estimate.rows, estimate.usd, estimate.completion_tokens) == (6, 0, 0)


def test_another_recorded_file_makes_another_result(stages: FirstStages) -> None:
    folder, _ = stages.result("teach")
    stages.write_recorded(lambda _: "Other. So the answer is No.")
    assert stages.result("teach")[0] != folder
    assert STAGE.files(stages.config()) == (stages.recorded,)
