"""Distilling: a lesson per error, resumed after a kill, with failures that are no knowledge."""

import pytest

from services.common.errors import ConfigurationError, NesycdError
from tests.unit.training.stages.runs import config, give, job
from tests.unit.training.students import question
from training.row_file import read_rows
from training.rows import Attempt, Lesson
from training.stages.distil_knowledge import STAGE
from training.teachers.fake import ScriptedTeacher
from training.teachers.protocol import NoReplyError

GOOD = "Learning Summary:\n- Add in order.\nSupplementary Knowledge:\n- A sum has terms."
LAST = "Question:\nWhat is the sum about topic{}?"


@pytest.fixture
def run(tmp_path):
    questions = [question(n, task="sums" if n % 3 else "lists") for n in range(9)]
    give(tmp_path, "data/train.jsonl", questions)
    give(
        tmp_path,
        "mine/errors.jsonl",
        [Attempt(key=one.key, question=one.key, rationale="Wrong.") for one in questions],
    )
    return tmp_path


class Teacher:
    """Opens teachers that follow a script; counts what each question was asked."""

    def __init__(self, patch, script):
        self.asked = []
        self._script = script
        patch.setattr("training.stages.distil_knowledge.open_teacher", self)

    def __call__(self, _spec, ledger_folder):
        self.ledger_folder = ledger_folder
        return ScriptedTeacher(self._write)

    def _write(self, prompt):
        self.asked.append(prompt.question)
        return self._script(prompt)


def lessons(run):
    return list(read_rows(run / "distil-knowledge/lessons.jsonl", Lesson))


def test_every_error_gets_a_lesson(run, monkeypatch):
    teacher = Teacher(monkeypatch, lambda _: GOOD)
    counts = STAGE.run(job(run, "distil-knowledge"))
    assert sorted(one.key for one in lessons(run)) == [f"q{n}" for n in range(9)]
    assert all(one.is_accepted for one in lessons(run))
    assert (counts["errors"], counts["accepted"], counts["replies"]) == (9, 9, 9)
    assert teacher.ledger_folder == run


def test_the_teacher_sees_question_wrong_rationale_and_gold(run, monkeypatch):
    turns = []
    Teacher(monkeypatch, lambda prompt: turns.append(prompt.messages[-1].text) or GOOD)
    STAGE.run(job(run, "distil-knowledge"))
    assert (
        "Question:\nWhat is the sum about topic4?\n\nWrong solution:\nWrong.\n\n"
        "Correct answer:\n42" in turns
    )


def test_a_second_run_asks_only_for_what_is_left(run, monkeypatch):
    Teacher(monkeypatch, lambda _: GOOD)
    STAGE.run(job(run, "distil-knowledge"))
    path = run / "distil-knowledge/lessons.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5])[:-20])
    teacher = Teacher(monkeypatch, lambda _: GOOD)
    STAGE.run(job(run, "distil-knowledge"))
    assert len(teacher.asked) == 5
    assert len(lessons(run)) == 9


def test_a_request_that_failed_is_tried_once_more_and_then_counted(run, monkeypatch):
    def script(prompt):
        if prompt.question == "q3":
            raise NoReplyError("the content filter refused")
        return GOOD

    teacher = Teacher(monkeypatch, script)
    counts = STAGE.run(job(run, "distil-knowledge"))
    assert teacher.asked.count("q3") == 2
    assert (counts["failed"], counts["accepted"]) == (1, 8)
    (failed,) = [one for one in lessons(run) if one.error]
    assert failed.error == "the content filter refused"
    assert not failed.is_accepted


def test_a_teacher_without_any_reply_is_an_error_that_says_why(run, monkeypatch):
    def script(prompt):
        raise NoReplyError("404: no such model")

    Teacher(monkeypatch, script)
    with pytest.raises(ConfigurationError, match=r"none of 9 requests got a reply.*404"):
        STAGE.run(job(run, "distil-knowledge"))


def test_what_was_made_until_the_quota_was_gone_is_kept(run, monkeypatch):
    def script(prompt):
        if len(teacher.asked) > 4:
            raise ConfigurationError("budget_usd: spent")
        return GOOD

    teacher = Teacher(monkeypatch, script)
    with pytest.raises(NesycdError, match="budget_usd"):
        STAGE.run(job(run, "distil-knowledge"))
    kept = len(lessons(run))
    assert kept > 0
    teacher = Teacher(monkeypatch, lambda _: GOOD)
    STAGE.run(job(run, "distil-knowledge"))
    assert len(teacher.asked) == 9 - kept


def test_refusals_are_counted_by_cause(run, monkeypatch):
    Teacher(monkeypatch, lambda prompt: "Sorry." if prompt.sample == 0 else GOOD)
    counts = STAGE.run(job(run, "distil-knowledge"))
    assert counts["refused for form"] == 9
    assert (counts["accepted"], counts["replies"]) == (9, 18)


def test_the_most_errors_are_drawn_evenly_over_the_tasks(run, monkeypatch):
    Teacher(monkeypatch, lambda _: GOOD)
    STAGE.run(job(run, "distil-knowledge", distil={"max_errors": 4}))
    numbers = [int(one.key[1:]) for one in lessons(run)]
    assert len(numbers) == 4
    assert sum(number % 3 == 0 for number in numbers) == 2


def test_no_errors_are_nothing_to_distil(run, monkeypatch):
    give(run, "mine/errors.jsonl", [])
    Teacher(monkeypatch, lambda _: GOOD)
    with pytest.raises(ConfigurationError, match="made no error"):
        STAGE.run(job(run, "distil-knowledge"))


def test_an_error_about_no_known_question_is_named(run):
    give(run, "mine/errors.jsonl", [Attempt(key="x", question="x")])
    with pytest.raises(ConfigurationError, match=r"errors.jsonl: x: there is no question x"):
        STAGE.run(job(run, "distil-knowledge"))


def test_the_estimate_counts_what_is_left_and_what_it_costs(run, monkeypatch):
    endpoint = {
        "teacher": {
            "kind": "endpoint",
            "base_url": "http://localhost/v1",
            "model": "m",
            "usd_per_million_in": 1.0,
            "usd_per_million_out": 10.0,
        }
    }
    whole = STAGE.estimate(job(run, "distil-knowledge", distil=endpoint))
    assert whole.rows == 9
    assert whole.usd == pytest.approx((whole.prompt_tokens + 10 * whole.completion_tokens) / 1e6)
    Teacher(monkeypatch, lambda _: GOOD)
    STAGE.run(job(run, "distil-knowledge"))
    assert STAGE.estimate(job(run, "distil-knowledge", distil=endpoint)).rows == 0


def test_its_settings_know_what_is_asked_and_not_what_it_costs(tmp_path):
    base = STAGE.settings(config(tmp_path))
    assert base == STAGE.settings(config(tmp_path, distil={"duplicate_similarity": 0.5}))
    for change in ({"attempts": 1}, {"graph": True}, {"temperature": 0.0}, {"max_errors": 3}):
        assert base != STAGE.settings(config(tmp_path, distil=change))
    assert "prompts" in base
