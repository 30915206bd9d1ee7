"""Entries as rows: the JSON that people and programs write, checked field by field.

The same rows stand in dumps (one a line) and in the edits of KnowledgeService.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from services.common.records import Body, Entry, EntryKind, Fact, Note, Rule
from services.knowledge.rules.parsing import parse_rule
from services.knowledge.rules.values import QUESTION_PREDICATES

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _is_clean(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"holds the control character {found.group()!r}")
    return text


def _is_filled(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


@dataclass(frozen=True, slots=True)
class Matches:
    """Refuses a text that does not match in full, saying what is wanted."""

    pattern: str
    wanted: str

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Checks after all else."""
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """For programs that read the schema."""
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def checked(self, text: str) -> str:
        """The text, if it matches. Raises: ValueError."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"must be {self.wanted}")
        return text


RELEASE_NAME = Matches(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    "1 to 128 letters, digits, dots, hyphens or underscores",
)
"""A release's name is also a folder's, and an argument of commands."""

CLEAN = AfterValidator(_is_clean)
"""Refuses control characters but line feed and tab."""

FILLED = AfterValidator(_is_filled)
"""Refuses white space alone."""

# Lengths come first: pydantic would count them after the other checks otherwise.
_Statement = Annotated[str, StringConstraints(max_length=2000), CLEAN, FILLED]
_Question = Annotated[str, StringConstraints(max_length=8000), CLEAN, FILLED]
_Source = Annotated[str, StringConstraints(max_length=256), CLEAN]
_Provenance = Annotated[str, StringConstraints(max_length=256), CLEAN, FILLED]
_Id = Annotated[
    str, Matches(r"[^\s\x00-\x1f\x7f]{1,128}", "1 to 128 characters without white space")
]
_Task = Annotated[str, Matches(r"[a-z0-9_]{0,128}", "in snake_case or empty")]


def _is_free(relation: str) -> str:
    if relation in QUESTION_PREDICATES:
        raise ValueError("is read from the question, so no fact may state it")
    return relation


_Relation = Annotated[
    str, Matches(r"[a-z][a-z0-9_]{0,127}", "in snake_case"), AfterValidator(_is_free)
]
_Name = Annotated[str, StringConstraints(max_length=256), CLEAN, FILLED]


def _is_rule(text: str) -> str:
    parse_rule(text)
    return text


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: _Id = Field(description="Stable across revisions: 1 to 128 characters, no white space.")
    revision: int = Field(ge=1, le=2**31 - 1, description="Counts from 1.")
    task: _Task = Field(description="Task in snake_case, for the task filter; empty for any.")
    source: _Source = Field(description="Id of the item it was made from; empty if none.")
    provenance: _Provenance = Field(description='Who or what made it, for instance "curated".')
    concepts: tuple[_Name, ...] = Field(
        (),
        max_length=64,
        description="Names of what it is about; they join it to the graph. May be left out.",
    )


class NoteRow(_Row):
    """One note."""

    question: _Question = Field(
        description="The question the note was made for; retrieval compares with it."
    )
    learning_summary: tuple[_Statement, ...] = Field(
        description="How to think about such questions, and what to watch for."
    )
    supplementary_knowledge: tuple[_Statement, ...] = Field(
        description="Facts, formulas, definitions, techniques."
    )

    @model_validator(mode="after")
    def _says_something(self) -> NoteRow:
        if not self.learning_summary and not self.supplementary_knowledge:
            raise ValueError("learning_summary and supplementary_knowledge are both empty")
        return self


class _GraphRow(_Row):
    question: Annotated[str, StringConstraints(max_length=8000), CLEAN] = Field(
        "", description="The question it was made for; may be left out."
    )


class RuleRow(_GraphRow):
    """One logic rule."""

    rule: Annotated[str, StringConstraints(max_length=2000), CLEAN, AfterValidator(_is_rule)] = (
        Field(description='Such as "grandparent(X, Z) :- parent(X, Y), parent(Y, Z)."')
    )
    confidence: float = Field(1.0, gt=0, le=1, description="How sure its author is that it holds.")


class FactRow(_GraphRow):
    """One edge of the knowledge graph."""

    subject: _Name = Field(description="What the fact is about.")
    relation: _Relation = Field(
        description="In snake_case; subject, relation and object read as a sentence."
    )
    object: _Name = Field(description="What the subject stands in that relation to.")


Row: TypeAlias = NoteRow | RuleRow | FactRow

ROWS: Mapping[EntryKind, type[Row]] = {
    EntryKind.NOTE: NoteRow,
    EntryKind.RULE: RuleRow,
    EntryKind.FACT: FactRow,
}


def entry_of(row: Row) -> Entry:
    """The row as a record."""
    return Entry(
        id=row.id,
        revision=row.revision,
        task=row.task,
        question=row.question,
        body=_body_of_row(row),
        source=row.source,
        provenance=row.provenance,
        concepts=row.concepts,
    )


def _body_of_row(row: Row) -> Body:
    if isinstance(row, NoteRow):
        return Note(row.learning_summary, row.supplementary_knowledge)
    if isinstance(row, RuleRow):
        return Rule(row.rule, row.confidence)
    return Fact(row.subject, row.relation, row.object)


def fields_of(entry: Entry) -> dict[str, object]:
    """The entry as a row's fields, in the order they are written; `concepts` only if any."""
    values: dict[str, object] = {
        "id": entry.id,
        "revision": entry.revision,
        "task": entry.task,
        "question": entry.question,
        **body_fields(entry.body),
        "source": entry.source,
        "provenance": entry.provenance,
    }
    return values | ({"concepts": entry.concepts} if entry.concepts else {})


def body_fields(body: Body) -> dict[str, object]:
    """The body's fields as a row has them."""
    if isinstance(body, Note):
        return {
            "learning_summary": body.learning_summary,
            "supplementary_knowledge": body.supplementary_knowledge,
        }
    if isinstance(body, Rule):
        return {"rule": body.text, "confidence": body.confidence}
    return {"subject": body.subject, "relation": body.relation, "object": body.object}


def write_body(body: Body) -> str:
    """The body as JSON, for a store's column."""
    return json.dumps(body_fields(body), ensure_ascii=False)


def read_body(kind: EntryKind, text: str) -> Body:
    """What `write_body` wrote."""
    fields = json.loads(text)
    if kind is EntryKind.NOTE:
        return Note(tuple(fields["learning_summary"]), tuple(fields["supplementary_knowledge"]))
    if kind is EntryKind.RULE:
        return Rule(fields["rule"], fields["confidence"])
    return Fact(fields["subject"], fields["relation"], fields["object"])


def write_row(entry: Entry) -> str:
    """The entry as one line of a dump, without the line's end; always the same bytes."""
    return json.dumps(fields_of(entry), ensure_ascii=False)
