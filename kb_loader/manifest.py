"""manifest.json as pydantic models; the rows it counts are those of services/knowledge/content."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.records import EntryKind
from services.knowledge.content import CLEAN, FILLED, RELEASE_NAME, Matches

MANIFEST: Final = "manifest.json"
VECTORS: Final = "vectors.npy"

STEMS: Final = {
    EntryKind.NOTE: "notes.jsonl",
    EntryKind.RULE: "rules.jsonl",
    EntryKind.FACT: "facts.jsonl",
}
"""The file of each kind; with ".gz" behind it, it is compressed."""

FileName = Literal[
    "notes.jsonl",
    "notes.jsonl.gz",
    "rules.jsonl",
    "rules.jsonl.gz",
    "facts.jsonl",
    "facts.jsonl.gz",
    "vectors.npy",
]

_ReleaseName = Annotated[str, RELEASE_NAME]
_Sha256 = Annotated[str, Matches(r"[0-9a-f]{64}", "64 hexadecimal digits")]
_Text = Annotated[str, CLEAN]
_Filled = Annotated[str, CLEAN, FILLED]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ManifestFile(_Model):
    """What the manifest says about one file."""

    rows: int = Field(ge=1, description="Lines; of vectors.npy, vectors.")
    sha256: _Sha256 = Field(
        description="Checksum of the file's bytes; of a compressed file, of what it holds."
    )


class EmbeddingModel(_Model):
    """The encoder that made vectors.npy."""

    model: _Filled = Field(description="Its id.")
    checksum: _Sha256 = Field(description="sha256 of its weights; another one's are not used.")
    dimension: int = Field(ge=2, description="Numbers per vector.")


class Manifest(_Model):
    """manifest.json."""

    format_version: Literal[1] = Field(description="Of this format.")
    release: _ReleaseName = Field(
        description="Name of the release: letters, digits, dots, hyphens, underscores."
    )
    description: _Text = Field(description="For people; may be empty.")
    provenance: _Filled = Field(description="Who or what made the dump.")
    parent: _ReleaseName | None = Field(
        None, description="Release that it was made from; may be left out."
    )
    embedding: EmbeddingModel | None = Field(
        None, description="Who made vectors.npy; there only together with that file."
    )
    files: dict[FileName, ManifestFile] = Field(
        min_length=1, description="Every data file of the dump."
    )

    @model_validator(mode="after")
    def _files_fit_together(self) -> Self:
        if (VECTORS in self.files) != (self.embedding is not None):
            raise ValueError(f"embedding and files.{VECTORS} come together or not at all")
        for stem in STEMS.values():
            if stem in self.files and f"{stem}.gz" in self.files:
                raise ValueError(f"files lists both {stem} and {stem}.gz")
        if not self.rows:
            raise ValueError(f"files lists none of {', '.join(STEMS.values())}")
        return self

    @property
    def rows(self) -> int:
        """Entries of all kinds."""
        return sum(file.rows for name, file in self.files.items() if name != VECTORS)

    def counts(self) -> dict[EntryKind, int]:
        """Entries of each kind that there is one of."""
        listed = {name.removesuffix(".gz"): file.rows for name, file in self.files.items()}
        return {kind: listed[stem] for kind, stem in STEMS.items() if stem in listed}

    def json_text(self) -> str:
        """The file's content; always the same bytes for the same values."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"
