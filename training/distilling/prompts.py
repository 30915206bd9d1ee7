"""What the teacher is asked, for each error of the student.

The scheme is SKIntern's (Liao et al. 2024): two worked examples, then question, wrong solution
and correct answer; two sections come back. The sentences and the examples are our own, from
fields that no train set here asks about (ARC, which is for tests alone, does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.distilling.lessons import Lines, write_lines
from training.teachers.protocol import Message

VERSION: Final = "1"
"""Changes whenever a word of a prompt does; stands in the stage's settings."""

LONGEST_SOLUTION: Final = 2000
"""Characters of the wrong solution that the teacher reads; a loop has no end worth paying for."""

_INSTRUCTION = """\
You write notes for a small language model. It cannot be made to think harder, only be told more \
beforehand. You get a question, the model's wrong solution and the correct answer. Find what the \
model did not know or did not do, and write down what would help it with other questions of the \
same kind.

Write two sections and nothing else:

Learning Summary:
- how to go about such questions, step by step; what to watch out for; what to check at the end

Supplementary Knowledge:
- facts, formulas, definitions and techniques that such questions need

Each section has one to six points, each of one or two short sentences. The notes are read before \
other questions, so they must hold for all of the kind: never mention this question, its numbers, \
its names, its options or its answer, nor the wrong solution. Write nothing that is not true."""

_GRAPH_INSTRUCTION = """

Where the knowledge can be put exactly, add one or both of these sections:

Rules:
- one rule a line in Datalog, as in minutes(M) :- quantity(H, hour), M = H * 60.
  A rule may use relations of your facts, and what is read from a question: number(N),
  quantity(N, unit_in_the_singular), mentions(name), weekday(day), month(month). Variables begin \
with a capital letter. Arithmetic is + - * / alone.

Facts:
- one fact a line: subject | relation_in_snake_case | object"""


@dataclass(frozen=True, slots=True)
class _Shot:
    """A worked example."""

    question: str
    solution: str
    gold: str
    lines: Lines


_SHOTS: Final = (
    _Shot(
        question="An electric heater has a resistance of 23 ohms and is plugged into 230 volts. "
        "How many watts does it take?",
        solution="Power is voltage times resistance, so it takes 230 * 23 = 5290 watts.\n"
        "Therefore, the answer is 5290.",
        gold="2300",
        lines=Lines(
            learning_summary=(
                "Write down which quantities are given, with their units, and which one is asked.",
                "Choose the formula that joins just these quantities before calculating.",
                "Check the direction: at a fixed voltage, more resistance must give less power.",
            ),
            supplementary_knowledge=(
                "Ohm's law: voltage = current * resistance (V = I * R).",
                (
                    "Electric power = voltage * current, so it is also voltage squared divided by "
                    "resistance, or current squared times resistance."
                ),
                "One watt is one volt times one ampere.",
            ),
            rules=("watts(P) :- quantity(U, volt), quantity(R, ohm), P = U * U / R.",),
            facts=(("watt", "is_unit_of", "power"), ("ohm", "is_unit_of", "resistance")),
        ),
    ),
    _Shot(
        question="In mice, black fur is dominant over brown fur. Nibbles and Pip are both black "
        "and have had a brown pup. What can be said of their next pup?\nOptions:\n"
        "(A) It is surely black\n(B) It is black more likely than not\n(C) It is surely brown",
        solution="Both parents are black and black is dominant, so each pup of theirs is black.\n"
        "Therefore, the answer is (A).",
        gold="(B)",
        lines=Lines(
            learning_summary=(
                (
                    "Work out each parent's two gene copies from all the offspring, not from the "
                    "parent's looks alone."
                ),
                "One offspring that shows the hidden form proves that both parents carry it.",
                "List the four ways in which the copies combine, and count.",
            ),
            supplementary_knowledge=(
                (
                    "A dominant form shows when at least one copy is there; a recessive form shows "
                    "only when both copies are recessive."
                ),
                (
                    "Two parents who both carry one recessive copy have offspring in the ratio of "
                    "three with the dominant form to one with the recessive form."
                ),
            ),
            rules=("can_be_hidden(X) :- is_dominant_over(Y, X), mentions(X).",),
            facts=(("black fur of mice", "is_dominant_over", "brown fur of mice"),),
        ),
    ),
)


EXAMPLES: Final = frozenset(
    point.casefold().rstrip(".")
    for shot in _SHOTS
    for point in (*shot.lines.learning_summary, *shot.lines.supplementary_knowledge)
)
"""The points of the worked examples, folded as `training.distilling.checks` compares them."""


def ask(question: str, solution: str, gold: str, *, graph: bool) -> tuple[Message, ...]:
    """The conversation that ends where the teacher is to write.

    Args:
        question: the whole question.
        solution: what the student wrote; may be empty.
        gold: the benchmark's answer.
        graph: ask for rules and facts as well.
    """
    turns = [Message("system", _INSTRUCTION + (_GRAPH_INSTRUCTION if graph else ""))]
    for shot in _SHOTS:
        turns.append(_turn(shot.question, shot.solution, shot.gold))
        turns.append(Message("assistant", write_lines(shot.lines, graph=graph)))
    return (*turns, _turn(question, solution, gold))


def ask_again(messages: Sequence[Message], reply: str, reason: str) -> tuple[Message, ...]:
    """The conversation after a reply that was refused; `reason` is one clause without a point."""
    again = f"This cannot be used: {reason}. Write all sections again, in the form of before."
    return (*messages, Message("assistant", reply or "(nothing)"), Message("user", again))


def _turn(question: str, solution: str, gold: str) -> Message:
    shown = solution[:LONGEST_SOLUTION].strip()
    if len(solution) > LONGEST_SOLUTION:
        shown += " [...]"
    return Message(
        "user",
        f"Question:\n{question}\n\nWrong solution:\n{shown or '(The model wrote none.)'}\n\n"
        f"Correct answer:\n{gold}",
    )
