"""The JSON schemas of a dump's rows and manifest, for editors and other programs.

`python -m kb_loader.schema` writes them anew to kb_loader/schema/; a test holds them current.
They say all of a row that a schema can say: that ids are sorted and unique, that texts hold no
control characters and rules can be executed, only `nesycd kb verify` checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from kb_loader.manifest import Manifest
from services.knowledge.content import FactRow, NoteRow, RuleRow

FOLDER: Final = Path(__file__).with_name("schema")

MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "manifest.schema.json": Manifest,
    "note.schema.json": NoteRow,
    "rule.schema.json": RuleRow,
    "fact.schema.json": FactRow,
}
"""File name and what it describes: the manifest, or a line of a data file."""


def schema_text(model: type[BaseModel]) -> str:
    """A schema file's content."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes all schema files."""
    FOLDER.mkdir(exist_ok=True)
    for name, model in MODELS.items():
        (FOLDER / name).write_text(schema_text(model), encoding="utf-8")


if __name__ == "__main__":
    main()
