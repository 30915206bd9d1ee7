"""The rows and the manifest of a dump, as pydantic models; docs say what each field means."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from services.common.records import Entry, EntryKind, Note

MAX_LINE_BYTES = 1 << 20

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _is_clean(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"holds the control character {found.group()!r}")
    return text


def _is_filled(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _matches(pattern: str, wanted: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {wanted}")
        return text

    return AfterValidator(check)


_CLEAN = AfterValidator(_is_clean)
_FILLED = AfterValidator(_is_filled)

# Lengths come first: pydantic would count them after the other checks otherwise.
_Text = Annotated[str, _CLEAN]
_Filled = Annotated[str, _CLEAN, _FILLED]
_Statement = Annotated[str, StringConstraints(max_length=2000), _CLEAN, _FILLED]
_Question = Annotated[str, StringConstraints(max_length=8000), _CLEAN, _FILLED]
_Source = Annotated[str, StringConstraints(max_length=256), _CLEAN]
_Provenance = Annotated[str, StringConstraints(max_length=256), _CLEAN, _FILLED]
_Id = Annotated[
    str, _matches(r"[^\s\x00-\x1f\x7f]{1,128}", "1 to 128 characters without white space")
]
_Task = Annotated[str, _matches(r"[a-z0-9_]{0,128}", "in snake_case or empty")]
_ReleaseName = Annotated[
    str,
    _matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        "1 to 128 letters, digits, dots, hyphens or underscores",
    ),
]
_Sha256 = Annotated[str, _matches(r"[0-9a-f]{64}", "64 hexadecimal digits")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoteRow(_Model):
    """One line of notes.jsonl."""

    id: _Id = Field(description="Stable across revisions: 1 to 128 characters, no white space.")
    revision: int = Field(ge=1, description="Counts from 1.")
    task: _Task = Field(description="Task in snake_case, for the task filter; empty for any.")
    question: _Question = Field(
        description="The question the note was made for; retrieval compares with it."
    )
    learning_summary: tuple[_Statement, ...] = Field(
        description="How to think about such questions, and what to watch for."
    )
    supplementary_knowledge: tuple[_Statement, ...] = Field(
        description="Facts, formulas, definitions, techniques."
    )
    source: _Source = Field(description="Id of the item the note was made from; empty if none.")
    provenance: _Provenance = Field(description='Who or what made it, for instance "curated".')

    @model_validator(mode="after")
    def _says_something(self) -> NoteRow:
        if not self.learning_summary and not self.supplementary_knowledge:
            raise ValueError("learning_summary and supplementary_knowledge are both empty")
        return self

    def entry(self) -> Entry:
        """The row as a record."""
        return Entry(
            id=self.id,
            revision=self.revision,
            kind=EntryKind.NOTE,
            task=self.task,
            question=self.question,
            body=Note(self.learning_summary, self.supplementary_knowledge),
            source=self.source,
            provenance=self.provenance,
        )


class ManifestFile(_Model):
    """What the manifest says about one file."""

    rows: int = Field(ge=0, description="Lines.")
    sha256: _Sha256 = Field(description="Checksum of the file's bytes.")


class Manifest(_Model):
    """manifest.json."""

    format_version: Literal[1] = Field(description="Of this format.")
    release: _ReleaseName = Field(
        description="Name of the release: letters, digits, dots, hyphens, underscores."
    )
    description: _Text = Field(description="For people; may be empty.")
    provenance: _Filled = Field(description="Who or what made the dump.")
    files: dict[Literal["notes.jsonl"], ManifestFile] = Field(
        min_length=1, description="Every data file of the dump."
    )
