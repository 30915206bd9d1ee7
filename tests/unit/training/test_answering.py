"""Answering in training: the pipeline that serves, and what becomes of questions that fail."""

import asyncio
import pickle

import pytest
from pydantic import ValidationError

from services.common import prompts
from services.common.errors import (
    AdapterNotFoundError,
    BudgetExhaustedError,
    ConfigurationError,
    KnowledgeUnavailableError,
    StudentUnavailableError,
)
from services.common.records import RetrievalMode
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from services.knowledge.base import KnowledgeBase
from services.student.fake import Scripted
from services.student.protocol import FinishReason
from tests.tiny_models import write_adapter
from tests.unit.training.students import (
    dump_of,
    note,
    question,
    use_hash_embedder,
    use_script,
)
from training.answering import BUDGET_S, Answerer, Asked, System
from training.knowledge_bases import KnowledgeSpec

RIGHT = " We add.\nTherefore, the answer is 42."
NEVER = System(mode=RetrievalMode.NEVER)
QUESTIONS = [question(n) for n in range(4)]


def answerer(systems=None, knowledge=None, *, max_new_tokens=64, **student) -> Answerer:
    return Answerer(
        student=StudentSettings(backend="scripted", **student),
        reasoner=ReasonerSettings(),
        embedder=KnowledgeSettings(),
        systems=systems or {"s": NEVER},
        knowledge=knowledge or {},
        max_new_tokens=max_new_tokens,
    )


async def attempt(worker: Answerer, asked_question=QUESTIONS[0], system="s"):
    await worker.open()
    try:
        asked = Asked(key=f"{system}/{asked_question.key}", system=system, question=asked_question)
        return await worker(asked)
    finally:
        await worker.close()


@pytest.fixture
def dump(tmp_path):
    return dump_of(tmp_path / "dump", [note(one) for one in QUESTIONS])


@pytest.fixture
def with_dump(monkeypatch, dump):
    use_hash_embedder(monkeypatch)

    def make(*, kind="search", mode=RetrievalMode.ALWAYS, **system) -> Answerer:
        spec = KnowledgeSpec(dump=dump, kind=kind)
        return answerer({"s": System(mode=mode, knowledge="k", **system)}, {"k": spec})

    return make


async def test_a_right_answer_becomes_an_attempt(monkeypatch):
    use_script(monkeypatch, lambda _: RIGHT)
    found = await attempt(answerer())
    assert found.key == "s/q0"
    assert found.question == "q0"
    assert (found.answer, found.rationale) == ("42", RIGHT.strip())
    assert found.correct
    assert not found.unparsed
    assert (found.degenerate, found.degraded, found.error) == ("", "", "")
    assert found.decision == "reason_without_knowledge"
    assert found.prompt_tokens == len(prompts.render_dc(QUESTIONS[0].text).split())
    assert found.completion_tokens == len(RIGHT.split()) + 1
    assert found.seconds < BUDGET_S


async def test_a_wrong_answer_is_an_attempt_that_is_not_correct(monkeypatch):
    use_script(monkeypatch, lambda _: " So.\nTherefore, the answer is 41.")
    found = await attempt(answerer())
    assert (found.answer, found.correct, found.unparsed) == ("41", False, False)


async def test_a_text_without_an_answer_is_unparsed(monkeypatch):
    use_script(monkeypatch, lambda prompt: "" if prompt.endswith("is") else " Who knows?")
    found = await attempt(answerer())
    assert (found.answer, found.correct, found.unparsed) == ("", False, True)


async def test_a_cut_off_rationale_is_truncated(monkeypatch):
    use_script(monkeypatch, lambda _: " ".join(f"word{n}" for n in range(100)))
    assert (await attempt(answerer(max_new_tokens=8))).degenerate == "truncated"


async def test_a_rationale_that_repeats_itself_is_a_loop(monkeypatch):
    use_script(monkeypatch, lambda _: " and so we go on" * 30)
    assert (await attempt(answerer(max_new_tokens=128))).degenerate == "loop"


async def test_a_loop_that_the_engine_ended_is_a_loop_and_not_truncated(monkeypatch):
    opened = use_script(monkeypatch, lambda _: " abcabc" * 3)
    worker = answerer()
    await worker.open()
    generate = opened.students[0].generate

    async def looping(prompt, sampling, *, adapter=""):
        async for delta in generate(prompt, sampling, adapter=adapter):
            object.__setattr__(delta, "finish_reason", FinishReason.LOOP)
            yield delta

    monkeypatch.setattr(opened.students[0], "generate", looping)
    found = await worker(Asked(key="k", system="s", question=QUESTIONS[0]))
    await worker.close()
    assert found.degenerate == "loop"


async def test_a_question_too_long_for_the_context_is_an_attempt_and_not_tried_again(monkeypatch):
    use_script(monkeypatch, lambda _: RIGHT)
    found = await attempt(answerer(max_model_len=128), question(1, "word " * 200))
    assert (found.unparsed, found.degenerate, found.error) == (True, "too_long", "")
    assert not found.correct


async def test_an_exhausted_budget_is_an_error_that_is_tried_again(monkeypatch):
    use_script(monkeypatch, lambda _: Scripted("", failure=BudgetExhaustedError("late")))
    assert (await attempt(answerer())).error == "late"


async def test_a_dead_student_stops_the_work(monkeypatch):
    use_script(monkeypatch, lambda _: Scripted("", failure=StudentUnavailableError("dead")))
    with pytest.raises(StudentUnavailableError):
        await attempt(answerer())


async def test_an_adapter_that_is_not_there_stops_the_work(monkeypatch, tmp_path):
    use_script(monkeypatch, lambda _: RIGHT)
    with pytest.raises(AdapterNotFoundError):
        await attempt(
            answerer(
                {"s": System(adapter="sp@v1", mode=RetrievalMode.NEVER)}, adapters_dir=tmp_path
            )
        )


async def test_each_system_answers_with_its_own_adapter_and_no_default(monkeypatch, tmp_path):
    write_adapter(tmp_path, "sp@v1")
    opened = use_script(monkeypatch, lambda _: RIGHT)
    systems = {"bare": NEVER, "sp": System(adapter="sp@v1", mode=RetrievalMode.NEVER)}
    worker = answerer(systems, adapters_dir=tmp_path, default_adapter="sp@v1", max_lora_rank=8)
    await worker.open()
    used = []
    generate = opened.students[0].generate

    async def recording(prompt, sampling, *, adapter=""):
        async for delta in generate(prompt, sampling, adapter=adapter):
            used.append(delta.adapter)
            yield delta

    monkeypatch.setattr(opened.students[0], "generate", recording)
    for name in systems:
        await worker(Asked(key=name, system=name, question=QUESTIONS[0]))
    await worker.close()
    assert used == ["", "sp@v1"]


async def test_more_questions_at_once_than_the_service_admits_are_all_answered(monkeypatch):
    use_script(monkeypatch, lambda _: Scripted(RIGHT, token_delay_s=0.001))
    worker = answerer(max_queued=1)
    await worker.open()
    items = [Asked(key=str(n), system="s", question=question(n)) for n in range(20)]
    found = await asyncio.gather(*(worker(item) for item in items))
    await worker.close()
    assert all(one.correct and not one.error for one in found)


async def test_knowledge_is_searched_and_shown_as_the_service_does(monkeypatch, with_dump):
    opened = use_script(monkeypatch, lambda _: RIGHT)
    found = await attempt(with_dump())
    assert found.knowledge == ("note.q0",)
    assert found.decision == "reason_with_knowledge"
    assert opened.prompts == [prompts.render_ad(QUESTIONS[0].text, [note(QUESTIONS[0]).text])]


async def test_exclude_own_never_shows_a_question_its_own_entry(monkeypatch, with_dump):
    opened = use_script(monkeypatch, lambda _: RIGHT)
    found = await attempt(with_dump(exclude_own=True, top_k=4))
    assert len(found.knowledge) == 3
    assert "note.q0" not in found.knowledge
    assert "q0 has a formula" not in opened.prompts[0]


async def test_shuffled_knowledge_is_other_knowledge_and_always_the_same(monkeypatch, with_dump):
    use_script(monkeypatch, lambda _: RIGHT)
    first, again = [await attempt(with_dump(kind="shuffled")) for _ in range(2)]
    assert len(first.knowledge) == 1
    assert first.knowledge != ("note.q0",)
    assert first.knowledge == again.knowledge


async def test_shuffled_knowledge_is_never_the_questions_own(monkeypatch, with_dump):
    use_script(monkeypatch, lambda _: RIGHT)
    for one in QUESTIONS:
        found = await attempt(with_dump(kind="shuffled", exclude_own=True, top_k=3), one)
        assert f"note.{one.key}" not in found.knowledge


async def test_the_gold_hint_says_the_answer_of_its_own_question(monkeypatch, with_dump):
    opened = use_script(monkeypatch, lambda _: RIGHT)
    found = await attempt(with_dump(kind="gold"), question(9, gold="(C)"))
    assert found.knowledge == ("gold-hint",)
    assert "The answer to this question is (C)." in opened.prompts[0]


async def test_a_systems_threshold_goes_before_the_reasoners(monkeypatch, with_dump):
    use_script(
        monkeypatch,
        lambda prompt: Scripted(" 42." if prompt.endswith("is") else RIGHT, gap=0.5),
    )
    adaptive = RetrievalMode.ADAPTIVE
    low = await attempt(with_dump(mode=adaptive, gate_threshold=0.4))
    usual = await attempt(with_dump(mode=adaptive))
    assert (low.decision, usual.decision) == ("direct", "reason_with_knowledge")
    assert low.confidence == pytest.approx(0.5)


async def test_a_broken_knowledge_base_is_an_error_and_no_worse_answer(monkeypatch, with_dump):
    async def broken(self, query):
        raise KnowledgeUnavailableError("the disk is gone")

    monkeypatch.setattr(KnowledgeBase, "lookup", broken)
    use_script(monkeypatch, lambda _: RIGHT)
    found = await attempt(with_dump())
    assert found.error == "degraded: knowledge_unavailable"
    assert found.degraded == "knowledge_unavailable"


async def test_it_can_be_sent_to_another_process_until_it_is_open(monkeypatch, with_dump):
    use_script(monkeypatch, lambda _: RIGHT)
    sent = pickle.loads(pickle.dumps(with_dump()))  # noqa: S301
    assert (await attempt(sent)).correct


async def test_closing_ends_the_student_and_may_be_done_twice(monkeypatch):
    opened = use_script(monkeypatch, lambda _: RIGHT)
    worker = answerer()
    await worker.close()
    await worker.open()
    await worker.close()
    await worker.close()
    with pytest.raises(StudentUnavailableError):
        await opened.students[0].check_health()


async def test_a_failed_start_leaves_nothing_open(monkeypatch, with_dump, tmp_path):
    def broken(settings):
        raise ConfigurationError("no such model")

    monkeypatch.setattr("training.answering.open_student", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    worker = with_dump()
    with pytest.raises(ConfigurationError, match="no such model"):
        await worker.open()
    await worker.close()
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_missing_dump_is_named(monkeypatch, tmp_path):
    use_hash_embedder(monkeypatch)
    spec = KnowledgeSpec(dump=tmp_path / "nothing")
    system = System(mode=RetrievalMode.ALWAYS, knowledge="k")
    with pytest.raises(ConfigurationError, match="nothing"):
        await attempt(answerer({"s": system}, {"k": spec}))


def test_a_system_that_names_no_knowledge_base_there_is_is_refused():
    system = System(mode=RetrievalMode.ALWAYS, knowledge="k")
    with pytest.raises(ConfigurationError, match=r"systems.s.knowledge: there is no 'k'"):
        answerer({"s": system})


def test_a_system_that_looks_things_up_needs_a_knowledge_base():
    with pytest.raises(ValidationError, match="mode = always needs"):
        System(mode=RetrievalMode.ALWAYS)


def test_answers_as_long_as_the_context_are_refused():
    with pytest.raises(ConfigurationError, match="max_new_tokens = 128 leaves no room"):
        answerer(max_model_len=128, max_new_tokens=128)
