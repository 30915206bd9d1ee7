"""Tables of a pydantic model's fields in a document: written, or held to the code, by a test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

DOCS = Path(__file__).parents[1] / "docs"
WRITE_DOCS = "NESYCD_TEST_WRITE_DOCS" in os.environ
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"


def assert_documented(document: Path, tables: str) -> None:
    """What stands between the two marks is this; NESYCD_TEST_WRITE_DOCS writes it there first."""
    intro, _, rest = document.read_text("utf-8").partition(BEGIN)
    written, _, outro = rest.partition(END)
    if WRITE_DOCS:
        written = tables
        document.write_text(f"{intro}{BEGIN}{written}{END}{outro}", "utf-8")
    assert written == tables


def table(kind: str, fields: Mapping[str, FieldInfo]) -> str:
    """A row per field; `kind` heads the column of names."""
    header = f"| {kind} | default | range | meaning |\n|---|---|---|---|\n"
    return header + "".join(
        f"| `{name}` | {_default(field)} | {_range(field)} | {field.description or ''} |\n"
        for name, field in fields.items()
    )


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    match default:
        case _ if default is PydanticUndefined:
            shown = "required"
        case None:
            shown = "unset"
        case BaseModel():
            shown = "the section's"
        case "" | ():
            shown = "empty"
        case bool():
            shown = f"`{str(default).lower()}`"
        case tuple():
            shown = ", ".join(f"`{one}`" for one in default)
        case dict():
            shown = ", ".join(f"`{key} = {value:g}`" for key, value in default.items())
        case _:
            shown = f"`{default}`"
    return shown


def _range(field: FieldInfo) -> str:
    kind = field.annotation
    choices = [
        choice
        for one in (kind, *get_args(kind))
        if get_origin(one) is Literal
        for choice in get_args(one)
    ]
    if choices and get_origin(kind) is not dict:
        return ", ".join(f"`{choice}`" for choice in choices)
    if kind is bool:
        return "`true`, `false`"
    return ", ".join(_bounds(field))


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        match bound:
            case annotated_types.Ge(ge=least):
                yield f"at least {least}"
            case annotated_types.Gt(gt=least):
                yield f"more than {least}"
            case annotated_types.Le(le=most):
                yield f"at most {most}"
            case annotated_types.Lt(lt=most):
                yield f"less than {most}"
            case annotated_types.MinLen(min_length=least):
                yield f"at least {least} long"
