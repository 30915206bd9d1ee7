"""Lessons made into the entries of a dump; what cannot be one is kept with its reason."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from pydantic import Field, ValidationError

from services.common.errors import ConfigurationError
from services.common.records import Body, Entry, EntryKind, Fact, Note, Rule
from services.knowledge.concepts import concept_key
from services.knowledge.content import ROWS, body_fields, fields_of
from services.knowledge.rules.check import check_rules
from services.knowledge.rules.language import Clause
from services.knowledge.rules.parsing import parse_rule
from training.distilling.checks import copied_from_examples, first_fault, leaked_by
from training.row_file import Row
from training.rows import Lesson, Question

_STEM = re.compile(r"[^\s\x00-\x1f\x7f]{1,100}")


class Rejection(StrEnum):
    """Why something did not become an entry, for counts."""

    FAILED = "no reply"
    REFUSED = "every reply refused"
    INVALID = "invalid"
    LEAK = "leak"
    COPY = "copied from the examples"
    UNSOUND = "unsound with the other rules"
    DUPLICATE = "duplicate"


class Rejected(Row):
    """What did not become an entry; `key` is the entry's id, or the question's of a lesson."""

    question: str = Field(description="Key of the question.")
    task: str = Field(description="Of the question.")
    kind: Literal["lesson", "note", "rule", "fact"]
    cause: Rejection
    reason: str
    text: str = Field("", description="What it says.")


@dataclass(slots=True)
class Sorted:
    """Entries, and what did not become one."""

    entries: list[Entry] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def reject(self, entry: Entry, cause: Rejection, reason: str) -> None:
        """Notes what is no entry."""
        self.rejected.append(
            Rejected(
                key=entry.id,
                question=entry.source,
                task=entry.task,
                kind=entry.kind.value,
                cause=cause,
                reason=reason,
                text=entry.text,
            )
        )


def sort_lessons(lessons: Iterable[Lesson], questions: Mapping[str, Question]) -> Sorted:
    """Every lesson's entries, checked each by itself, and rules also together.

    Facts and rules that say the same as an earlier one are duplicates; for notes see
    duplicates.py.

    Args:
        lessons: in any order.
        questions: by key.

    Raises: ConfigurationError, a lesson is about a question that is not there.
    """
    found = Sorted()
    for lesson in sorted(lessons, key=lambda one: one.key):
        if lesson.question not in questions:
            raise ConfigurationError(
                f"lesson {lesson.key!r}: question: there is no {lesson.question!r}"
            )
        question = questions[lesson.question]
        if lesson.is_accepted and not lesson.error:
            for entry in _entries(lesson, question):
                _sort(entry, question, found)
        else:
            found.rejected.append(_rejected_lesson(lesson, question))
    _drop_repeated(found)
    _drop_unsound(found)
    found.entries.sort(key=lambda entry: entry.id)
    return found


def _entries(lesson: Lesson, question: Question) -> Iterator[Entry]:
    stem = lesson.key
    if not _STEM.fullmatch(stem):
        stem = hashlib.sha256(stem.encode()).hexdigest()[:32]
    bodies: dict[str, Body] = {
        f"note.{stem}": Note(lesson.learning_summary, lesson.supplementary_knowledge)
    }
    bodies |= {f"rule.{stem}.{n}": Rule(text) for n, text in enumerate(lesson.rules, 1)}
    bodies |= {f"fact.{stem}.{n}": Fact(*parts) for n, parts in enumerate(lesson.facts, 1)}
    for entry_id, body in bodies.items():
        yield Entry(
            id=entry_id,
            revision=1,
            task=question.task,
            question=question.text,
            body=body,
            source=question.key,
            provenance=lesson.teacher,
        )


def _sort(entry: Entry, question: Question, found: Sorted) -> None:
    try:
        ROWS[entry.kind].model_validate(fields_of(entry))
    except ValidationError as error:
        found.reject(entry, Rejection.INVALID, first_fault(error))
        return
    if leaked := leaked_by(_texts(entry.body), question):
        found.reject(entry, Rejection.LEAK, f"it mentions {', '.join(map(repr, leaked))}")
        return
    if isinstance(entry.body, Note) and (copied := copied_from_examples(_points(entry.body))):
        found.reject(entry, Rejection.COPY, f"it repeats {copied[0]!r}")
        return
    if isinstance(entry.body, Rule):
        entry = replace(entry, body=Rule(str(parse_rule(entry.body.text))))
    found.entries.append(entry)


def _texts(body: Body) -> tuple[str, ...]:
    return _points(body) if isinstance(body, Note) else (body.text,)


def _points(note: Note) -> tuple[str, ...]:
    return (*note.learning_summary, *note.supplementary_knowledge)


def _rejected_lesson(lesson: Lesson, question: Question) -> Rejected:
    return Rejected(
        key=lesson.key,
        question=question.key,
        task=question.task,
        kind="lesson",
        cause=Rejection.FAILED if lesson.error else Rejection.REFUSED,
        reason=lesson.error or (lesson.refusals[-1] if lesson.refusals else "no reply was asked"),
        text=lesson.asked[-1] if lesson.asked else "",
    )


def _drop_repeated(found: Sorted) -> None:
    """Of rules and facts that say the same, keeps the first."""
    first: dict[tuple[str, ...], str] = {}
    kept = []
    for entry in found.entries:
        said = tuple(concept_key(str(part)) for part in body_fields(entry.body).values())
        if entry.kind is EntryKind.RULE:
            said = (entry.text,)
        if entry.kind is EntryKind.NOTE or said not in first:
            first[said] = entry.id
            kept.append(entry)
        else:
            found.reject(entry, Rejection.DUPLICATE, f"it says the same as {first[said]}")
    found.entries = kept


def _drop_unsound(found: Sorted) -> None:
    """Drops rules until the rest can be evaluated together; each drop may unground others."""
    while True:
        facts = (entry.body for entry in found.entries)
        relations = {body.relation for body in facts if isinstance(body, Fact)}
        clauses: dict[str, Clause] = {
            entry.id: parse_rule(entry.body.text)
            for entry in found.entries
            if isinstance(entry.body, Rule)
        }
        reasons: dict[str, str] = {}
        for problem in check_rules(clauses, relations):
            reasons.setdefault(problem.rule_id, problem.reason.rstrip("."))
        if not reasons:
            return
        for entry in found.entries:
            if entry.id in reasons:
                found.reject(entry, Rejection.UNSOUND, reasons[entry.id])
        found.entries = [entry for entry in found.entries if entry.id not in reasons]
