"""Mining: all train questions answered without knowledge, errors kept, and kills survived."""

import pytest

from services.common import prompts
from services.common.errors import BudgetExhaustedError, ConfigurationError
from services.student.fake import Scripted
from tests.tiny_models import write_adapter
from tests.unit.training.stages.runs import config, give, job
from tests.unit.training.students import question, use_script
from training.row_file import read_rows
from training.rows import Attempt, Rationale
from training.stages.mine import STAGE

RIGHT = " We add.\nTherefore, the answer is 42."
WRONG = " We guess.\nTherefore, the answer is 41."


@pytest.fixture
def run(tmp_path):
    give(tmp_path, "data/train.jsonl", [question(n) for n in range(10)])
    write_adapter(tmp_path / "fit-sp" / "adapters", "sp@v1")
    return tmp_path


def even_ones_fail(prompt):
    return WRONG if any(f"topic{n}?" in prompt for n in range(0, 10, 2)) else RIGHT


def rows(path):
    return list(read_rows(path, Attempt))


def test_every_question_is_answered_and_the_wrong_ones_are_errors(run, monkeypatch):
    opened = use_script(monkeypatch, even_ones_fail)
    counts = STAGE.run(job(run, "mine"))
    attempts, errors = rows(run / "mine/attempts.jsonl"), rows(run / "mine/errors.jsonl")
    assert [one.key for one in attempts] == [f"q{n}" for n in range(10)]
    assert [one.key for one in errors] == ["q0", "q2", "q4", "q6", "q8"]
    assert errors[0].rationale == WRONG.strip()
    assert (counts["questions"], counts["errors"], counts["accuracy"]) == (10, 5, 0.5)
    assert sorted(opened.prompts) == sorted(prompts.render_dc(question(n).text) for n in range(10))


def test_the_student_is_s_p(run, monkeypatch):
    opened = use_script(monkeypatch, even_ones_fail)
    STAGE.run(job(run, "mine"))
    assert opened.settings[0].student.adapters_dir == run / "fit-sp" / "adapters"


def test_degenerate_answers_are_errors_that_say_so(run, monkeypatch):
    use_script(monkeypatch, lambda _: " over and over and" * 40)
    counts = STAGE.run(job(run, "mine", mine={"max_new_tokens": 64}))
    assert {one.degenerate for one in rows(run / "mine/errors.jsonl")} == {"loop"}
    assert counts["loop"] == 10


def test_a_second_run_answers_only_what_is_left(run, monkeypatch):
    use_script(monkeypatch, even_ones_fail)
    STAGE.run(job(run, "mine"))
    first = (run / "mine/attempts.jsonl").read_bytes()
    (run / "mine/attempts.jsonl").write_bytes(b"".join(first.splitlines(keepends=True)[:7]))
    opened = use_script(monkeypatch, even_ones_fail)
    STAGE.run(job(run, "mine"))
    assert len(opened.prompts) == 3
    assert [one.key for one in rows(run / "mine/attempts.jsonl")] == [f"q{n}" for n in range(10)]


def test_a_finished_stage_starts_no_engine(run, monkeypatch):
    use_script(monkeypatch, even_ones_fail)
    STAGE.run(job(run, "mine"))
    opened = use_script(monkeypatch, even_ones_fail)
    STAGE.run(job(run, "mine"))
    assert opened.students == []


def test_failed_answers_end_the_stage_and_are_tried_again(run, monkeypatch):
    late = Scripted("", failure=BudgetExhaustedError("late"))
    use_script(monkeypatch, lambda prompt: late if "topic3?" in prompt else RIGHT)
    with pytest.raises(ConfigurationError, match=r"1 of 10 answers failed, first q3: late"):
        STAGE.run(job(run, "mine"))
    opened = use_script(monkeypatch, lambda _: RIGHT)
    assert STAGE.run(job(run, "mine"))["errors"] == 0
    assert len(opened.prompts) == 1


def test_one_question_too_long_is_an_error_and_stops_nothing(run, monkeypatch):
    give(run, "data/train.jsonl", [question(0), question(1, "word " * 3000)])
    use_script(monkeypatch, lambda _: RIGHT)
    counts = STAGE.run(job(run, "mine", student={"max_model_len": 1024}))
    assert counts["too_long"] == 1
    assert [one.key for one in rows(run / "mine/errors.jsonl")] == ["q1"]


def test_a_context_too_small_for_every_question_is_said(run, monkeypatch):
    use_script(monkeypatch, lambda _: RIGHT)
    with pytest.raises(ConfigurationError, match="no question fits the student"):
        STAGE.run(job(run, "mine", student={"max_model_len": 520}))


def test_no_questions_are_refused(run):
    give(run, "data/train.jsonl", [])
    with pytest.raises(ConfigurationError, match="holds no question"):
        STAGE.run(job(run, "mine"))


def test_its_settings_change_with_what_answers_depend_on_and_nothing_else(tmp_path):
    base = STAGE.settings(config(tmp_path))
    assert base == STAGE.settings(config(tmp_path, student={"threads": 3}, seed=7, in_flight=2))
    assert base != STAGE.settings(config(tmp_path, mine={"max_new_tokens": 9}))
    assert base != STAGE.settings(config(tmp_path, reasoner={"conclude": False}))
    folds = STAGE.settings(config(tmp_path, mine={"folds": 2}))
    assert folds != STAGE.settings(config(tmp_path, mine={"folds": 2}, seed=7))


def test_the_estimate_counts_what_is_left(run, monkeypatch):
    use_script(monkeypatch, even_ones_fail)
    wanted = job(run, "mine")
    assert STAGE.estimate(wanted).rows == 10
    STAGE.run(wanted)
    assert STAGE.estimate(wanted).rows == 0


def test_with_folds_each_question_is_answered_by_a_student_that_never_saw_it(run, monkeypatch):
    kept = [
        Rationale(key=f"q{n}#0", question=f"q{n}", text="So.\nTherefore, the answer is 42.")
        for n in range(10)
    ]
    give(run, "filter/kept.jsonl", kept)
    model = run / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).touch()
    fitted = {}

    def fit(examples, spec, out, progress):
        fitted[spec.name] = {
            line.split('"question":"')[1].split('"')[0]
            for line in examples.read_text().splitlines()
        }
        write_adapter(out / "adapters", f"{spec.name}@{spec.version}")

    monkeypatch.setattr("training.fitting.fit.fit_adapter", fit)
    opened = use_script(monkeypatch, even_ones_fail)
    answered = {}

    def remember(settings):
        student = opened(settings)
        generate = student.generate

        async def remembering(prompt, sampling, *, adapter=""):
            async for delta in generate(prompt, sampling, adapter=adapter):
                answered[prompt.split("topic")[1].split("?")[0]] = adapter
                yield delta

        student.generate = remembering
        return student

    monkeypatch.setattr("training.answering.open_student", remember)
    STAGE.run(job(run, "mine", mine={"folds": 3}, student={"model": str(model)}))
    assert sorted(fitted) == ["fold-0", "fold-1", "fold-2"]
    assert len(answered) == 10
    for number, adapter in answered.items():
        seen = fitted[adapter.removesuffix("@v1")]
        assert f"q{number}" not in seen
        assert len(seen) in (6, 7)
    names = {path.name for path in (run / "mine").iterdir() if not path.name.startswith(".")}
    assert names == {"attempts.jsonl", "errors.jsonl"}
