"""What the teacher is asked."""

import re

from services.knowledge.rules.check import check_rules
from services.knowledge.rules.parsing import parse_rule
from training.distilling.checks import check_lines
from training.distilling.lessons import read_lines
from training.distilling.prompts import LONGEST_SOLUTION, ask, ask_again
from training.rows import Question

_TURN = re.compile(r"Question:\n(.+)\n\nWrong solution:\n.+\n\nCorrect answer:\n(.+)", re.DOTALL)


def test_the_last_turn_has_question_wrong_solution_and_gold():
    messages = ask("How many?", "I think 3.", "(B)", graph=False)
    assert [message.role for message in messages] == [
        "system",
        *("user", "assistant") * 2,
        "user",
    ]
    assert messages[-1].text == (
        "Question:\nHow many?\n\nWrong solution:\nI think 3.\n\nCorrect answer:\n(B)"
    )


def test_the_worked_examples_pass_the_checks_that_replies_must_pass():
    for graph in (False, True):
        messages = ask("?", "", "1", graph=graph)
        for asked, written in zip(messages[1:-1:2], messages[2:-1:2], strict=True):
            found = _TURN.fullmatch(asked.text)
            question = Question(key="k", dataset="d", task="t", text=found[1], gold=found[2])
            lines = read_lines(written.text, graph=graph)
            check_lines(lines, question)
            assert bool(lines.rules) == bool(lines.facts) == graph


def test_the_rules_of_the_worked_examples_can_be_evaluated():
    messages = ask("?", "", "1", graph=True)
    lines = [read_lines(message.text, graph=True) for message in messages[2:-1:2]]
    rules = {rule: parse_rule(rule) for one in lines for rule in one.rules}
    relations = {fact[1] for one in lines for fact in one.facts}
    assert check_rules(rules, relations) == []


def test_rules_and_facts_are_asked_for_only_with_the_graph():
    assert "Datalog" not in ask("?", "", "1", graph=False)[0].text
    assert "Datalog" in ask("?", "", "1", graph=True)[0].text


def test_a_loop_is_not_paid_for_in_full():
    turn = ask("?", "so " * 5000, "1", graph=False)[-1].text
    assert len(turn) < LONGEST_SOLUTION + 200
    assert "[...]" in turn


def test_a_missing_solution_is_said():
    assert "(The model wrote none.)" in ask("?", "", "1", graph=False)[-1].text


def test_the_reason_of_a_refusal_is_told():
    first = ask("?", "", "1", graph=False)
    again = ask_again(first, "Sorry.", "the section is missing")
    assert again[: len(first)] == first
    reply, told = again[len(first) :]
    assert (reply.role, reply.text) == ("assistant", "Sorry.")
    assert told.role == "user"
    assert told.text.startswith("This cannot be used: the section is missing. Write")
