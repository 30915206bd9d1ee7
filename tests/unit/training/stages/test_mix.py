"""The mix: three tasks per rationale, prompts as in the service, and no own knowledge."""

import asyncio

import pytest

from services.common import prompts
from services.common.errors import ConfigurationError
from services.common.records import Entry, Fact, RetrievalMode, Rule
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from tests.unit.training.stages.runs import config, give, job
from tests.unit.training.students import (
    dump_of,
    note,
    question,
    use_hash_embedder,
    use_script,
)
from training.answering import Answerer, Asked, System
from training.knowledge_bases import KnowledgeSpec
from training.row_file import read_rows
from training.rows import Example, Rationale
from training.stages.mix import STAGE

QUESTIONS = [question(n) for n in range(5)]
TEXT = "We add.\nTherefore, the answer is 42."


def rationale(number, sample=0):
    return Rationale(key=f"q{number}#{sample}", question=f"q{number}", text=TEXT)


@pytest.fixture
def run(tmp_path, monkeypatch):
    use_hash_embedder(monkeypatch)
    give(tmp_path, "data/train.jsonl", QUESTIONS)
    give(tmp_path, "filter/kept.jsonl", [rationale(2), rationale(0), rationale(0, 1)])
    dump_of(tmp_path / "check-knowledge/dump", [note(one) for one in QUESTIONS])
    return tmp_path


def examples(run):
    return list(read_rows(run / "mix/examples.jsonl", Example))


def test_each_rationale_gives_ad_and_dc_and_each_question_ap(run):
    counts = STAGE.run(job(run, "mix"))
    assert [one.key for one in examples(run)] == [
        "AD/q2#0",
        "AP/q2",
        "DC/q2#0",
        "AD/q0#0",
        "AP/q0",
        "DC/q0#0",
        "AD/q0#1",
        "DC/q0#1",
    ]
    assert counts == {"AD": 3, "AP": 2, "DC": 3, "questions": 2, "found_nothing": 0}


def test_completions_are_what_the_student_is_to_write(run):
    STAGE.run(job(run, "mix"))
    by_task = {one.task: one for one in examples(run)}
    assert by_task["AP"].completion == " 42."
    assert by_task["DC"].completion == by_task["AD"].completion == f" {TEXT}"
    assert by_task["AP"].prompt == prompts.render_ap(QUESTIONS[0].text)
    assert by_task["DC"].prompt == prompts.render_dc(QUESTIONS[0].text)


@pytest.mark.parametrize("top_k", [1, 3])
def test_no_question_is_shown_an_entry_that_was_made_from_it(run, top_k):
    give(run, "filter/kept.jsonl", [rationale(n) for n in range(5)])
    STAGE.run(job(run, "mix", mix={"top_k": top_k}))
    shown = [one for one in examples(run) if one.task == "AD"]
    assert len(shown) == 5
    for one in shown:
        assert len(one.knowledge) == top_k
        assert f"note.{one.question}" not in one.knowledge
        assert f"{one.question} has a formula" not in one.prompt


def graph_entries():
    """Notes, and a graph whose facts and conclusions are part of the prompt."""
    facts = [
        Entry(
            id=f"fact.{one.key}.1",
            revision=1,
            task="sums",
            question=one.text,
            body=Fact("sum", "is_total_of", f"parts of {one.key}"),
            source=one.key,
            provenance="big",
        )
        for one in QUESTIONS
    ]
    rule = Rule("consists_of(sum, X) :- is_total_of(sum, X).")
    return [
        *(note(one) for one in QUESTIONS),
        *facts,
        Entry("rule.q9.1", 1, "", "", rule, "q9", "big"),
    ]


def served(run, *, top_k, max_related):
    """The prompt that the pipeline sends for each question, and the entries in it."""
    with pytest.MonkeyPatch.context() as patch:
        opened = use_script(patch, lambda _: f" {TEXT}")
        dump = run / "check-knowledge/dump"
        answerer = Answerer(
            student=StudentSettings(backend="scripted"),
            reasoner=ReasonerSettings(),
            embedder=KnowledgeSettings(),
            systems={
                "s": System(mode=RetrievalMode.ALWAYS, top_k=top_k, knowledge="k", exclude_own=True)
            },
            knowledge={"k": KnowledgeSpec(dump=dump, max_related=max_related)},
            max_new_tokens=64,
        )

        async def answered():
            await answerer.open()
            found = [
                await answerer(Asked(key=one.key, system="s", question=one)) for one in QUESTIONS
            ]
            await answerer.close()
            return found

        attempts = asyncio.run(answered())
    return {
        attempt.key: (prompt, attempt.knowledge)
        for attempt, prompt in zip(attempts, opened.prompts, strict=True)
    }


@pytest.mark.parametrize(("top_k", "max_related"), [(1, 0), (2, 0), (2, 8)])
def test_an_ad_prompt_is_byte_for_byte_what_the_service_sends(run, top_k, max_related):
    dump_of(run / "check-knowledge/dump", graph_entries())
    give(run, "filter/kept.jsonl", [rationale(n) for n in range(5)])
    STAGE.run(job(run, "mix", mix={"top_k": top_k}, knowledge={"max_related": max_related}))
    trained = {one.question: (one.prompt, one.knowledge) for one in examples(run) if one.knowledge}
    assert trained == served(run, top_k=top_k, max_related=max_related)
    for prompt, _ in trained.values():
        assert ("Facts:" in prompt) == ("What follows:" in prompt) == (max_related > 0)


def test_nothing_follows_from_a_questions_own_facts(run):
    dump_of(run / "check-knowledge/dump", graph_entries())
    STAGE.run(job(run, "mix", knowledge={"max_related": 8}))
    for one in examples(run):
        if one.task == "AD":
            assert "sum consists of parts of q1" in one.prompt
            assert f"parts of {one.question}" not in one.prompt


def test_a_question_that_finds_nothing_gets_no_ad_row_and_is_counted(run):
    dump_of(run / "check-knowledge/dump", [note(QUESTIONS[0])])
    counts = STAGE.run(job(run, "mix"))
    assert [one.key for one in examples(run) if one.task == "AD"] == ["AD/q2#0"]
    assert (counts["AD"], counts["found_nothing"]) == (1, 1)


def test_weights_go_into_the_rows_and_0_leaves_a_task_out(run):
    weights = {"AD": 0.0, "AP": 0.5, "DC": 2.0}
    counts = STAGE.run(job(run, "mix", mix={"task_weights": weights}))
    assert {one.task: one.weight for one in examples(run)} == {"AP": 0.5, "DC": 2.0}
    assert counts["AD"] == 0


def test_without_ad_no_knowledge_base_is_opened(run, monkeypatch):
    def refuse(settings):
        raise AssertionError("opened")

    monkeypatch.setattr("training.knowledge_bases.open_embedder", refuse)
    STAGE.run(job(run, "mix", mix={"task_weights": {"AP": 1.0, "DC": 1.0}}))
    assert {one.task for one in examples(run)} == {"AP", "DC"}


def test_the_same_inputs_give_the_same_bytes(run):
    STAGE.run(job(run, "mix"))
    first = (run / "mix/examples.jsonl").read_bytes()
    STAGE.run(job(run, "mix"))
    assert (run / "mix/examples.jsonl").read_bytes() == first


def test_a_rationale_of_no_train_question_is_named(run):
    give(run, "filter/kept.jsonl", [rationale(7)])
    with pytest.raises(ConfigurationError, match=r"kept.jsonl: q7#0: there is no train question"):
        STAGE.run(job(run, "mix"))


def test_no_rationales_are_nothing_to_fit(run):
    give(run, "filter/kept.jsonl", [])
    with pytest.raises(ConfigurationError, match="nothing to fit"):
        STAGE.run(job(run, "mix"))


def test_its_settings_are_weights_and_retrieval(tmp_path):
    base = STAGE.settings(config(tmp_path))
    assert base != STAGE.settings(config(tmp_path, mix={"top_k": 2}))
    assert base != STAGE.settings(config(tmp_path, knowledge={"lexical_weight": 0.9}))
    assert base == STAGE.settings(config(tmp_path, knowledge={"threads": 2}))
