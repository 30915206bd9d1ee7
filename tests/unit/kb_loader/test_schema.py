from __future__ import annotations

import json
import re

import pytest
from pydantic import BaseModel

from kb_loader.schema import FOLDER, MODELS, schema_text
from services.knowledge.content import ROWS


@pytest.mark.parametrize("name", MODELS)
def test_the_committed_schema_is_current(name: str) -> None:
    committed = (FOLDER / name).read_text("utf-8")
    assert committed == schema_text(MODELS[name]), "run: python -m kb_loader.schema"


def test_every_kind_of_row_has_a_schema() -> None:
    assert set(ROWS.values()) < set(MODELS.values())
    assert {path.name for path in FOLDER.iterdir()} == set(MODELS)


@pytest.mark.parametrize("model", MODELS.values())
def test_a_schema_describes_every_field_and_allows_no_other(model: type[BaseModel]) -> None:
    schema = json.loads(schema_text(model))
    for one in (schema, *schema.get("$defs", {}).values()):
        assert one["additionalProperties"] is False
        assert all(field.get("description") for field in one["properties"].values())


def test_the_patterns_are_those_that_rows_are_checked_by() -> None:
    schema = json.loads(schema_text(MODELS["fact.schema.json"]))
    pattern = schema["properties"]["relation"]["pattern"]
    assert re.match(pattern, "capital_of")
    assert not re.match(pattern, "Capital of")
