"""Knowledge entries as rows of JSON in a person's files, as a dump has them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from services.common.errors import InvalidRequestError
from services.common.records import Entry, EntryKind
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.content import ROWS, entry_of, fields_of
from services.knowledge.service.wire import read_entry, write_entry

STDIN = "-"

_OWN_FIELDS = {
    EntryKind.NOTE: {"learning_summary", "supplementary_knowledge"},
    EntryKind.RULE: {"rule", "confidence"},
    EntryKind.FACT: {"subject", "relation", "object"},
}
_LISTS = {"learning_summary", "supplementary_knowledge", "concepts"}


def write_row(message: pb.Entry) -> str:
    """The entry as a row that people can read and edit."""
    return json.dumps(fields_of(read_entry(message)), indent=2, ensure_ascii=False)


def read_rows(file: str) -> list[pb.Entry]:
    """The entries of a file of rows, one after another, each on one line or on several.

    Args:
        file: its path, or "-" for standard input.

    Raises: InvalidRequestError naming file, line and field.
    """
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text("utf-8")
    except OSError as error:
        raise InvalidRequestError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{file}: not UTF-8: {error.reason}") from None
    entries = [_entry(fields, f"{file}:{line}") for line, fields in _objects(text, file)]
    if not entries:
        raise InvalidRequestError(f"{file}: holds no row")
    return entries


def _objects(text: str, file: str) -> Iterator[tuple[int, object]]:
    """Each JSON value, and the line where it begins."""
    decoder, place = json.JSONDecoder(), 0
    while rest := text[place:].lstrip():
        place = len(text) - len(rest)
        line = text.count("\n", 0, place) + 1
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise InvalidRequestError(f"{file}:{error.lineno}: not JSON: {error.msg}") from None
        yield line, value


def _entry(fields: object, place: str) -> pb.Entry:
    if not isinstance(fields, dict):
        raise InvalidRequestError(f"{place}: not a row: {fields!r:.60}")
    kind = next((kind for kind, own in _OWN_FIELDS.items() if own & fields.keys()), None)
    if kind is None:
        raise InvalidRequestError(
            f"{place}: has the fields of no kind: a note has learning_summary and "
            f"supplementary_knowledge, a rule has rule, a fact has subject, relation and object"
        )
    return write_entry(_checked({"revision": 1} | fields, kind, f"{place}: "))


def with_fields(message: pb.Entry, settings: list[str]) -> pb.Entry:
    """The entry with some fields set.

    Args:
        message: the entry as it is.
        settings: "field=value" each; lists as JSON, or one text for a list of one.

    Raises: InvalidRequestError naming what is wrong.
    """
    entry = read_entry(message)
    fields = fields_of(entry)
    for setting in settings:
        name, has_value, value = setting.partition("=")
        if not has_value:
            raise InvalidRequestError.of_field("--set", f"{setting!r} is not FIELD=VALUE")
        fields[name] = _value(name, value)
    return write_entry(_checked(fields, entry.kind, "--set: "))


def _value(name: str, text: str) -> object:
    if name in _LISTS:
        if not text.lstrip().startswith("["):
            return [text]
    elif name != "confidence":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequestError.of_field("--set", f"{name}: not JSON: {error.msg}") from None


def _checked(fields: Mapping[str, object], kind: EntryKind, place: str) -> Entry:
    try:
        # As JSON, since rows are strict about Python's types.
        return entry_of(ROWS[kind].model_validate_json(json.dumps(fields)))
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        field = ".".join(map(str, wrong["loc"])) + ": " if wrong["loc"] else ""
        what = str(wrong["ctx"]["error"]) if wrong["type"] == "value_error" else wrong["msg"]
        raise InvalidRequestError(f"{place}{field}{what}") from None
