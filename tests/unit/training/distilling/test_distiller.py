"""One error, one lesson: asked, refused, asked again, or given up with everything kept."""

import pickle
from functools import partial

import pytest

from services.common.errors import StudentUnavailableError
from training.distilling.distiller import Distiller, Mistake
from training.rows import Question
from training.teachers.fake import ScriptedTeacher
from training.teachers.protocol import NoReplyError

GOOD = "Learning Summary:\n- Add in order.\nSupplementary Knowledge:\n- A sum has terms."
LEAK = "Learning Summary:\n- Add 37 first.\nSupplementary Knowledge:\n- A sum has terms."
MISTAKE = Mistake(
    key="q1",
    question=Question(key="q1", dataset="d", task="t", text="What is 37 + 81?", gold="118"),
    solution="It is 37.",
)


class Script:
    """Says one text after the other; raises what is an error; remembers the prompts."""

    def __init__(self, *replies):
        self.prompts = []
        self._replies = list(replies)

    def __call__(self, prompt):
        self.prompts.append(prompt)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


async def lesson(script, *, attempts=3, graph=False, max_new_tokens=200):
    distiller = Distiller(
        lambda: ScriptedTeacher(script),
        temperature=0.8,
        max_new_tokens=max_new_tokens,
        attempts=attempts,
        graph=graph,
    )
    await distiller.open()
    try:
        return await distiller(MISTAKE)
    finally:
        await distiller.close()
        await distiller.close()


async def test_a_good_reply_is_a_lesson():
    script = Script(GOOD)
    found = await lesson(script)
    assert found.key == found.question == "q1"
    assert found.teacher == "scripted"
    assert found.is_accepted
    assert found.learning_summary == ("Add in order.",)
    assert found.supplementary_knowledge == ("A sum has terms.",)
    assert (found.asked, found.refusals, found.error) == ((GOOD,), (), "")
    assert found.prompt_tokens > found.completion_tokens > 0
    (prompt,) = script.prompts
    assert (prompt.question, prompt.temperature, prompt.max_new_tokens) == ("q1", 0.8, 200)


async def test_a_refused_reply_is_asked_again_with_the_reason():
    script = Script("Sorry.", LEAK, GOOD)
    found = await lesson(script)
    assert found.is_accepted
    assert found.asked == ("Sorry.", LEAK, GOOD)
    assert [refusal.partition(":")[0] for refusal in found.refusals] == ["form", "leak"]
    assert [prompt.sample for prompt in script.prompts] == [0, 1, 2]
    # Only the last reply is shown, so that the conversation stays within a small context.
    assert len(script.prompts[2].messages) == len(script.prompts[0].messages) + 2
    assert script.prompts[2].messages[-2].text == LEAK
    assert "it mentions '37'" in script.prompts[2].messages[-1].text
    assert "leak:" not in script.prompts[2].messages[-1].text


async def test_after_the_last_attempt_it_is_given_up_and_kept():
    found = await lesson(Script(LEAK, LEAK), attempts=2)
    assert not found.is_accepted
    assert found.error == ""
    assert found.asked == (LEAK, LEAK)
    assert len(found.refusals) == 2


async def test_a_reply_that_was_cut_off_is_refused():
    found = await lesson(Script(GOOD), attempts=1, max_new_tokens=9)
    assert found.refusals == ("cut off: it was cut off after 9 tokens; write shorter points",)


async def test_a_failed_request_is_an_error_row_and_no_knowledge():
    found = await lesson(Script("Sorry.", NoReplyError("429: quota of the day is used up")))
    assert found.error == "429: quota of the day is used up"
    assert not found.is_accepted
    assert found.asked == ("Sorry.",)
    assert "quota" not in found.model_dump_json(exclude={"error"})


async def test_a_teacher_that_is_gone_stops_the_work():
    with pytest.raises(StudentUnavailableError):
        await lesson(Script(StudentUnavailableError("dead")))


async def test_rules_and_facts_come_with_the_lesson_where_they_are_asked_for():
    text = f"{GOOD}\nRules:\n- total(T) :- number(A), T = A + 1.\nFacts:\n- sum | is_a | result"
    found = await lesson(Script(text), graph=True)
    assert found.rules == ("total(T) :- number(A), T = A + 1.",)
    assert found.facts == (("sum", "is_a", "result"),)


def test_it_can_be_sent_to_another_process_until_it_is_open():
    distiller = Distiller(
        partial(ScriptedTeacher), temperature=0, max_new_tokens=9, attempts=1, graph=False
    )
    assert isinstance(pickle.loads(pickle.dumps(distiller)), Distiller)  # noqa: S301
