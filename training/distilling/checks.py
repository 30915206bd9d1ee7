"""What a lesson must be before it counts: within the limits of entries, and about no one question.

A note that repeats its own question's numbers, names or answer helps with that question alone,
and hides in training that the student has learned nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from kb_loader.leaks import leaks
from services.common import answers
from services.common.records import Entry, Note
from services.knowledge.content import NoteRow
from training.distilling.lessons import Cause, Lines, RefusedError
from training.distilling.prompts import EXAMPLES
from training.repetition import is_repetitive
from training.rows import Question

_OPTION = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]*(\S.*)$", re.MULTILINE)
_GOLD_LETTER = re.compile(r"\(?([A-Z])\)?")
_SHORTEST_SIGNS: Final = 3
"""Signs of an answer without words, such as "} ] )", that are told from signs in general."""

_WORD = re.compile(r"\w+(?:['\u2019.,/-]\w+)*")


def check_lines(lines: Lines, question: Question) -> None:
    """Refuses what is no general knowledge. Raises: RefusedError."""
    points = (*lines.learning_summary, *lines.supplementary_knowledge)
    try:
        NoteRow(
            id="lesson",
            revision=1,
            task="",
            source="",
            provenance="teacher",
            question=question.text,
            learning_summary=lines.learning_summary,
            supplementary_knowledge=lines.supplementary_knowledge,
        )
    except ValidationError as error:
        raise RefusedError(Cause.LIMITS, first_fault(error)) from error
    if is_repetitive("\n".join(points)):
        raise RefusedError(Cause.REPETITION, "it says the same over and over")
    if leaked := leaked_by(points, question):
        told = ", ".join(map(repr, leaked))
        raise RefusedError(
            Cause.LEAK,
            f"it mentions {told}, which belongs to this question alone; write what holds for all "
            f"questions of the kind",
        )


def check_own(lines: Lines) -> None:
    """Refuses points of the worked examples. Raises: RefusedError."""
    if copied := copied_from_examples((*lines.learning_summary, *lines.supplementary_knowledge)):
        raise RefusedError(
            Cause.COPY,
            f"it repeats a point of another question's notes, {copied[0]!r}; write of this kind of "
            f"question alone",
        )


def copied_from_examples(points: Sequence[str]) -> tuple[str, ...]:
    """The points that stand in the worked examples of the prompt; small teachers repeat them."""
    return tuple(point for point in points if point.casefold().strip().rstrip(".") in EXAMPLES)


def leaked_by(texts: Sequence[str], question: Question) -> tuple[str, ...]:
    """What of one question and its answer the texts give away, each once.

    These are the question's own numbers and names (kb_loader/leaks.py), and the gold answer: a
    number or name as in the question; an option by its letter or its text; words or signs in
    their order; and any sentence that says what the answer is. A gold "Yes", "True" or "valid"
    is a common word, so that only such a sentence gives it away.
    """
    note = Note(tuple(texts), ())
    asked = f"{question.text}\nAnswer: {question.gold}"
    entry = Entry("lesson", 1, "", asked, note, question.key, "teacher")
    found = [*leaks(entry), *(text for one in texts for text in _said_of_answer(one, question))]
    return tuple(dict.fromkeys(found))


def _said_of_answer(text: str, question: Question) -> Iterator[str]:
    """What a text says of the gold answer."""
    gold = question.gold.strip()
    said = answers.extract(text)
    if said and said.casefold().strip('()." ') == gold.casefold().strip('()." '):
        yield f"the answer is {said}"
    options = dict(_OPTION.findall(question.text))
    if options and _GOLD_LETTER.fullmatch(gold):
        for letter in options:
            if re.search(rf"(?<!\w)\({letter}\)|\b(?:[Oo]ption|[Cc]hoice) {letter}\b", text):
                yield f"({letter})"
        gold = options.get(gold.strip("()"), "").strip()
    words = _WORD.findall(gold.casefold())
    signs = "".join(gold.split())
    if words:
        is_said = len(words) > 1 and _follow(words, _WORD.findall(text.casefold()))
    else:
        is_said = len(signs) >= _SHORTEST_SIGNS and signs in "".join(text.split())
    if is_said:
        yield gold


def _follow(words: Sequence[str], text: Sequence[str]) -> bool:
    """Whether the words stand in a text one after the other."""
    length = len(words)
    return any(text[at : at + length] == words for at in range(len(text) - length + 1))


def first_fault(error: ValidationError) -> str:
    """The first fault of a row, as a clause."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field or 'the note'}: {first['msg'].removeprefix('Value error, ')}"
