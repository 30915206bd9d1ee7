"""The pipeline over the scripted student: every way through the gate, and every way to fail."""

import asyncio
import time
from dataclasses import replace

import pytest

from services.common import prompts
from services.common.errors import (
    AdapterNotFoundError,
    BudgetExhaustedError,
    OverloadedError,
    StudentUnavailableError,
)
from services.common.records import (
    Conclusion,
    DegradedCause,
    Entry,
    EntryKind,
    Fact,
    GateDecision,
    ProofStep,
    ReasonRequest,
    ReasonResponse,
    RetrievalMode,
    Retrieved,
)
from services.common.settings import ReasonerSettings, StudentSettings
from services.reasoner.pipeline import Reasoner
from services.student.fake import Scripted, ScriptedStudent
from tests.knowledge_fakes import FixedKnowledge

RATIONALE = " Two and two make four.\nTherefore, the answer is 4."


class Script:
    """Answers the direct prompt and the step-by-step prompts; remembers what it was given."""

    def __init__(self, direct=None, rationale=None, conclusion=None):
        self.prompts: list[str] = []
        self._direct = direct or Scripted(" 5.", gap=0.2)
        self._rationale = rationale or Scripted(RATIONALE)
        self._conclusion = conclusion or Scripted(" 6.")

    def __call__(self, prompt: str) -> Scripted:
        self.prompts.append(prompt)
        if prompt.endswith(prompts.STEP_CUE):
            return self._rationale
        return self._conclusion if prompts.STEP_CUE in prompt else self._direct


def reasoner(script, knowledge=None, **settings) -> Reasoner:
    return Reasoner(
        ScriptedStudent(script), knowledge or FixedKnowledge(), ReasonerSettings(**settings)
    )


def request(**fields) -> ReasonRequest:
    return ReasonRequest(**{"question": "2 + 2?", "request_id": "id-1"} | fields)


async def test_a_confident_direct_answer_stands_and_the_lookup_is_dropped():
    script = Script(direct=Scripted(" 4.", gap=0.9, token_delay_s=0.01))
    knowledge = FixedKnowledge(delay_s=30)
    response = await reasoner(script, knowledge).reason(request())
    assert response.answer == "4"
    assert response.rationale == ""
    assert response.confidence == pytest.approx(0.9)
    assert response.gate.decision is GateDecision.DIRECT
    assert response.knowledge == ()
    assert response.kb_release == ""
    assert response.degraded_cause is None
    assert script.prompts == [prompts.render_ap("2 + 2?")]
    assert knowledge.cancelled
    assert set(response.stages_s) == {"direct", "total"}


async def test_an_unsure_answer_is_replaced_by_reasoning_with_knowledge():
    script, knowledge = Script(), FixedKnowledge()
    response = await reasoner(script, knowledge).reason(
        request(task="units", top_k=2, exclude_source="s")
    )
    assert response.answer == "4"
    assert response.rationale == RATIONALE.strip()
    assert response.confidence == pytest.approx(0.2)
    assert response.gate.decision is GateDecision.REASON_WITH_KNOWLEDGE
    assert response.gate.reason == "confidence 0.200 is below the threshold 0.680"
    assert [one.entry.id for one in response.knowledge] == ["note-1", "note-2"]
    assert response.kb_release == "r1"
    assert response.model == "scripted"
    assert response.request_id == "id-1"
    texts = [one.entry.text for one in response.knowledge]
    assert script.prompts == [prompts.render_ap("2 + 2?"), prompts.render_ad("2 + 2?", texts)]
    (query,) = knowledge.queries
    assert (query.question, query.k, query.task) == ("2 + 2?", 2, "units")
    assert query.exclude_source == "s"
    assert response.tokens.prompt == sum(len(prompt.split()) for prompt in script.prompts)
    assert response.tokens.completion == 2 + len(RATIONALE.split()) + 1
    assert set(response.stages_s) == {"direct", "retrieve", "reason", "total"}


async def test_the_graph_adds_one_text_and_its_entries_and_conclusions_come_back():
    fact = Entry("f1", 2, "", "", Fact("2", "plus_two_is", "4"), "", "test")
    related = (Retrieved(fact, 0.0, {"graph": 1}),)
    conclusion = Conclusion("2 is even", 1.0, (ProofStep("2 plus two is 4", "f1", 2),))

    class Knowledge(FixedKnowledge):
        async def lookup(self, query):
            found = await super().lookup(query)
            return replace(found, related=related, conclusions=(conclusion,))

    script, knowledge = Script(), Knowledge()
    response = await reasoner(script, knowledge).reason(request())
    assert [one.entry.id for one in response.knowledge] == ["note-1", "f1"]
    assert response.conclusions == (conclusion,)
    graph = prompts.graph_text(["2 plus two is 4"], ["2 is even"])
    note = response.knowledge[0].entry.text
    assert script.prompts[1] == prompts.render_ad("2 + 2?", [note, graph])
    # Only notes are ranked: rules and facts come through the graph.
    assert knowledge.queries[0].kinds == {EntryKind.NOTE}


async def test_conclusions_alone_are_knowledge():
    class Knowledge(FixedKnowledge):
        async def lookup(self, query):
            found = await super().lookup(query)
            return replace(found, found=(), conclusions=(Conclusion("4 follows", 1.0, ()),))

    script = Script()
    response = await reasoner(script, Knowledge()).reason(request())
    assert response.gate.decision is GateDecision.REASON_WITH_KNOWLEDGE
    assert script.prompts[1] == prompts.render_ad("2 + 2?", ["What follows:\n- 4 follows"])


async def test_the_direct_pass_does_not_wait_for_the_lookup():
    asked = asyncio.Event()

    class Knowledge(FixedKnowledge):
        async def lookup(self, query):
            await asked.wait()
            return await super().lookup(query)

    def script(prompt):
        asked.set()
        return Scripted(" 5.", gap=0.2) if prompt.endswith(prompts.ANSWER_CUE) else RATIONALE

    response = await reasoner(script, Knowledge()).reason(request())
    assert response.gate.decision is GateDecision.REASON_WITH_KNOWLEDGE


@pytest.mark.parametrize(
    ("mode", "decision", "looked_up"),
    [
        (RetrievalMode.ALWAYS, GateDecision.REASON_WITH_KNOWLEDGE, 1),
        (RetrievalMode.NEVER, GateDecision.REASON_WITHOUT_KNOWLEDGE, 0),
    ],
)
async def test_the_other_modes_make_no_direct_pass(mode, decision, looked_up):
    script, knowledge = Script(), FixedKnowledge()
    response = await reasoner(script, knowledge).reason(request(mode=mode))
    assert response.answer == "4"
    assert response.confidence is None
    assert response.gate.decision is decision
    assert response.gate.reason == f"retrieval mode is {mode.value}"
    assert len(knowledge.queries) == looked_up
    assert len(script.prompts) == 1
    assert response.degraded_cause is None


@pytest.mark.parametrize(
    ("knowledge", "cause"),
    [
        (FixedKnowledge(fails=True), DegradedCause.KNOWLEDGE_UNAVAILABLE),
        (FixedKnowledge(delay_s=30), DegradedCause.KNOWLEDGE_TIMEOUT),
        (FixedKnowledge(release=None), DegradedCause.NO_ACTIVE_RELEASE),
    ],
)
@pytest.mark.parametrize("mode", [RetrievalMode.ADAPTIVE, RetrievalMode.ALWAYS])
async def test_without_knowledge_the_student_answers_alone_and_says_so(mode, knowledge, cause):
    response = await reasoner(Script(), knowledge, knowledge_timeout_ms=100).reason(
        request(mode=mode)
    )
    assert response.answer == "4"
    assert response.degraded_cause is cause
    assert response.gate.decision is GateDecision.REASON_WITHOUT_KNOWLEDGE
    assert response.knowledge == ()


async def test_finding_nothing_is_no_fault():
    response = await reasoner(Script(), FixedKnowledge(found=0)).reason(request())
    assert response.gate.decision is GateDecision.REASON_WITHOUT_KNOWLEDGE
    assert response.degraded_cause is None
    assert response.kb_release == "r1"


async def test_a_lookup_gets_its_share_of_a_short_budget_only():
    knowledge = FixedKnowledge(delay_s=30)
    start = time.monotonic()
    response = await reasoner(Script(), knowledge).reason(
        request(budget_s=2.0, mode=RetrievalMode.ALWAYS)
    )
    assert response.degraded_cause is DegradedCause.KNOWLEDGE_TIMEOUT
    assert time.monotonic() - start < 1.5


async def test_a_rationale_without_an_answer_is_followed_by_the_answer_alone():
    script = Script(rationale=Scripted(" I do not know"))
    response = await reasoner(script).reason(request(mode=RetrievalMode.NEVER))
    assert response.answer == "6"
    assert response.rationale == "I do not know\nTherefore, the answer is 6."
    assert script.prompts[1] == (
        prompts.render_dc("2 + 2?") + " I do not know\nTherefore, the answer is"
    )
    assert "conclude" in response.stages_s
    assert not response.truncated


async def test_asking_for_the_answer_alone_can_be_turned_off():
    script = Script(rationale=Scripted(" I do not know"))
    response = await reasoner(script, conclude=False).reason(request(mode=RetrievalMode.NEVER))
    assert response.answer == ""
    assert response.rationale == "I do not know"


async def test_a_rationale_that_fills_the_context_stays_without_an_answer():
    script = Script(rationale=Scripted(" I do not know"))
    prompt = prompts.render_dc("2 + 2?")
    student = ScriptedStudent(script, StudentSettings(max_model_len=len(prompt.split()) + 50))
    pipeline = Reasoner(student, FixedKnowledge(), ReasonerSettings(direct_max_new_tokens=60))
    asked = request(mode=RetrievalMode.NEVER, max_new_tokens=40)
    *texts, response = [event async for event in pipeline.stream(asked)]
    assert response.answer == ""
    assert response.rationale == "".join(texts).strip() == "I do not know"


async def test_the_token_limit_is_kept_and_told():
    response = await reasoner(Script(), conclude=False).reason(
        request(mode=RetrievalMode.NEVER, max_new_tokens=3)
    )
    assert response.rationale == "Two and two"
    assert response.truncated
    assert response.tokens.completion == 3


async def test_a_cut_off_direct_answer_never_stands():
    script = Script(direct=Scripted(" one two three", gap=0.99))
    response = await reasoner(script, direct_max_new_tokens=2).reason(request())
    assert response.gate.decision is GateDecision.REASON_WITH_KNOWLEDGE
    assert response.gate.reason == "the direct answer was cut off by the token limit"


async def test_when_time_runs_out_while_reasoning_the_direct_answer_is_returned():
    script = Script(rationale=Scripted(RATIONALE, token_delay_s=1))
    start = time.monotonic()
    response = await reasoner(script).reason(request(budget_s=0.4))
    assert time.monotonic() - start < 1.5
    assert response.answer == "5"
    assert response.degraded_cause is DegradedCause.BUDGET_EXHAUSTED
    assert response.gate.decision is GateDecision.DIRECT
    assert response.gate.reason.endswith("but the budget ran out while reasoning")


async def test_when_time_runs_out_after_the_answer_was_written_it_counts():
    # The answer sentence is there; the student would only go on for ever.
    text = " So.\nTherefore, the answer is 4.\n" + "and on " * 100
    script = Script(rationale=Scripted(text, token_delay_s=0.02))
    events = [
        event
        async for event in reasoner(script).stream(request(budget_s=0.5, mode=RetrievalMode.NEVER))
    ]
    assert events[-1].answer == "4"
    assert events[-1].degraded_cause is DegradedCause.BUDGET_EXHAUSTED


@pytest.mark.parametrize("mode", list(RetrievalMode))
async def test_no_answer_within_the_budget_is_an_error_that_names_it(mode):
    slow = Scripted(RATIONALE, token_delay_s=5)
    with pytest.raises(BudgetExhaustedError, match=r"^budget_ms: no answer within 200 ms$"):
        await reasoner(Script(direct=slow, rationale=slow)).reason(request(budget_s=0.2, mode=mode))


@pytest.mark.parametrize(
    "failure",
    [
        StudentUnavailableError("dead"),
        OverloadedError("full", retry_after_s=1.0),
        AdapterNotFoundError("none"),
    ],
)
async def test_the_students_errors_reach_the_caller_and_end_the_lookup(failure):
    knowledge = FixedKnowledge(delay_s=30)
    script = Script(direct=Scripted("", failure=failure))
    with pytest.raises(type(failure)):
        await reasoner(script, knowledge).reason(request())
    assert knowledge.cancelled


@pytest.mark.parametrize("mode", list(RetrievalMode))
@pytest.mark.parametrize("gap", [0.1, 0.9])
async def test_a_stream_ends_in_what_reason_returns(mode, gap):
    def script():
        return Script(direct=Scripted(" 5.", gap=gap), rationale=Scripted(" Hm"))

    asked = request(mode=mode)
    events = [event async for event in reasoner(script()).stream(asked)]
    *texts, last = events
    assert all(isinstance(text, str) and text for text in texts)
    assert isinstance(last, ReasonResponse)
    alone = await reasoner(script()).reason(asked)
    fields = set(ReasonResponse.__dataclass_fields__) - {"stages_s"}
    assert {name: getattr(last, name) for name in fields} == {
        name: getattr(alone, name) for name in fields
    }
    assert "".join(texts).strip() == (last.rationale or last.answer)


async def test_closing_a_stream_aborts_the_student():
    student = ScriptedStudent(Script(rationale=Scripted("word " * 1000, token_delay_s=0.01)))
    stream = Reasoner(student, FixedKnowledge(), ReasonerSettings()).stream(
        request(mode=RetrievalMode.NEVER)
    )
    await anext(stream)
    assert student.in_flight == 1
    await stream.aclose()
    assert student.in_flight == 0


async def test_cancelling_a_request_aborts_the_student_and_the_lookup():
    student = ScriptedStudent(Script(direct=Scripted("word " * 1000, token_delay_s=0.01)))
    knowledge = FixedKnowledge(delay_s=30)
    task = asyncio.create_task(Reasoner(student, knowledge, ReasonerSettings()).reason(request()))
    await asyncio.sleep(0.05)
    assert student.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert student.in_flight == 0
    assert knowledge.cancelled


async def test_a_slow_reader_of_a_stream_is_not_cancelled_by_the_budget():
    stream = reasoner(Script()).stream(request(mode=RetrievalMode.NEVER, budget_s=0.3))
    with pytest.raises(BudgetExhaustedError):
        async for _ in stream:
            await asyncio.sleep(0.4)  # the reader's own time, past the budget


async def test_all_passes_use_the_version_the_first_one_resolved():
    seen = []

    class Student(ScriptedStudent):
        async def generate(self, prompt, sampling, *, adapter=""):
            seen.append(adapter)
            async for delta in super().generate(prompt, sampling, adapter=""):
                done = delta.finish_reason is not None
                yield type(delta)(
                    delta.text,
                    delta.completion_tokens,
                    delta.prompt_tokens,
                    delta.gaps,
                    delta.finish_reason,
                    "m",
                    "a@v2" if done else "",
                )

    response = await Reasoner(Student(Script()), FixedKnowledge(), ReasonerSettings()).reason(
        request(adapter="a")
    )
    assert seen == ["a", "a@v2"]
    assert response.adapter == "a@v2"
