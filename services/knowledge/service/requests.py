"""Checks of the requests of knowledge.proto: every wrong field is named, with its value."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, TypeVar

from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from services.common.errors import FieldViolation, InvalidRequestError
from services.common.records import Authorship, Entry, EntryKind
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.content import CLEAN, FILLED, ROWS, body_fields, entry_of, fields_of
from services.knowledge.service.wire import read_entry

NAME_CHARS = 128
"""Longest id, task, batch or release name."""

_Model = TypeVar("_Model", bound=BaseModel)
_Enum = TypeVar("_Enum", bound=StrEnum)


class _EditFields(BaseModel):
    model_config = ConfigDict(strict=True)

    actor: Annotated[str, StringConstraints(max_length=NAME_CHARS), CLEAN, FILLED]
    reason: Annotated[str, StringConstraints(max_length=2000), CLEAN]
    batch: Annotated[str, StringConstraints(max_length=NAME_CHARS), CLEAN]


class _Text(BaseModel):
    model_config = ConfigDict(strict=True)

    value: Annotated[str, CLEAN]


class Checks:
    """Reads the fields of one request and notes what is wrong with them.

    What a method returns may be used only after `done`, which refuses the request.
    """

    def __init__(self, message: Message) -> None:
        self._message = message
        self._wrong: list[FieldViolation] = []

    def done(self) -> None:
        """Raises: InvalidRequestError with one violation per wrong field."""
        if self._wrong:
            raise InvalidRequestError(
                "; ".join(f"{one.field}: {one.description}" for one in self._wrong),
                violations=tuple(self._wrong),
            )

    def refuse(self, field: str, description: str) -> None:
        """Notes a wrong field."""
        self._wrong.append(FieldViolation(field, description))

    def text(self, field: str, most: int = NAME_CHARS, *, filled: bool = False) -> str:
        """A text of at most so many characters, without control characters."""
        value: str = getattr(self._message, field)
        self._text(field, value, most, filled=filled)
        return value

    def texts(self, field: str, most: int) -> tuple[str, ...]:
        """1 to `most` names."""
        values = tuple(getattr(self._message, field))
        if not 1 <= len(values) <= most:
            self.refuse(field, f"{len(values)} given, 1 to {most} are accepted")
        for place, value in enumerate(values[:most]):
            self._text(f"{field}[{place}]", value, NAME_CHARS, filled=True)
        return values

    def question(self, most: int = 8000) -> str:
        """A question as people ask it, with whatever characters."""
        value: str = getattr(self._message, "question")  # noqa: B009 - fields by name throughout
        if not value.strip():
            self.refuse("question", f"is empty, got {_shown(value)}")
        elif len(value) > most:
            self.refuse("question", f"has {len(value)} characters, at most {most} are accepted")
        return value

    def number(self, field: str, low: int, high: int, default: int) -> int:
        """A number in a range; `default` where it is absent."""
        if not self._message.HasField(field):
            return default
        value: int = getattr(self._message, field)
        if not low <= value <= high:
            self.refuse(field, f"{value} is not between {low} and {high}")
        return value

    def count(self, field: str) -> int:
        """A number that has to be there, at least 1."""
        value: int = getattr(self._message, field)
        if value < 1:
            self.refuse(field, f"{value} is not at least 1")
        return value

    def fraction(self, field: str, default: float) -> float:
        """A number above 0 and at most 1; `default` where it is absent."""
        if not self._message.HasField(field):
            return default
        value: float = getattr(self._message, field)
        if not 0 < value <= 1:
            self.refuse(field, f"{value:g} is not above 0 and at most 1")
        return value

    def choice(self, field: str, allowed: Mapping[str, _Enum]) -> _Enum:
        """One of some values."""
        return self._choice(field, getattr(self._message, field), allowed)

    def choices(self, field: str, enum: type[_Enum]) -> frozenset[_Enum]:
        """Some values of an enumeration; all of them where none is given."""
        allowed = {one.value: one for one in enum}
        chosen = [
            self._choice(f"{field}[{place}]", value, allowed)
            for place, value in enumerate(getattr(self._message, field))
        ]
        return frozenset(chosen or enum)

    def author(self) -> Authorship:
        """Who edits, and why."""
        edit: pb.Edit = getattr(self._message, "edit")  # noqa: B009
        values = {"actor": edit.actor, "reason": edit.reason, "batch": edit.batch}
        self._fields("edit", _EditFields, values)
        return Authorship(**values)

    def entry(self) -> Entry:
        """The entry that a request brings, as revision 1; checked as a row of a dump is."""
        message: pb.Entry = getattr(self._message, "entry")  # noqa: B009
        body = message.WhichOneof("body")
        if body is None:
            kinds = ", ".join(EntryKind)
            self.refuse("entry.body", f"is missing: fill one of {kinds}")
            return read_entry(message)
        entry = read_entry(_with_defaults(message))
        paths = {name: f"entry.{body}.{name}" for name in body_fields(entry.body)}
        paths |= {"": f"entry.{body}", "rule": "entry.rule.text"}
        values = {**fields_of(entry), "revision": 1}
        row = self._fields("entry", ROWS[EntryKind(body)], values, paths)
        return entry_of(row) if row else entry

    def _text(self, field: str, value: str, most: int, *, filled: bool) -> None:
        if len(value) > most:
            self.refuse(field, f"has {len(value)} characters, at most {most}, got {_shown(value)}")
        elif filled and not value.strip():
            self.refuse(field, f"is empty, got {_shown(value)}")
        else:
            self._fields(field, _Text, {"value": value}, {"value": field})

    def _choice(self, field: str, value: str, allowed: Mapping[str, _Enum]) -> _Enum:
        if value not in allowed:
            self.refuse(field, f"{_shown(value)} is not one of {', '.join(allowed)}")
            return next(iter(allowed.values()))
        return allowed[value]

    def _fields(
        self,
        field: str,
        model: type[_Model],
        values: Mapping[str, object],
        paths: Mapping[str, str] = MappingProxyType({}),
    ) -> _Model | None:
        """Checks values by a model.

        Args:
            field: what they are fields of.
            model: says what they have to be.
            values: by name.
            paths: where a value stands in the message, if not in `field`; "" is where all do.

        Returns: the model's instance, or None when a value is wrong.
        """
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for wrong in error.errors(include_url=False):
                first, *rest = wrong["loc"] or ("",)
                path = paths.get(str(first), f"{field}.{first}" if first else field)
                path += "".join(f"[{part}]" for part in rest)
                self.refuse(path, _described(wrong))
            return None


def _with_defaults(message: pb.Entry) -> pb.Entry:
    if not message.HasField("rule") or message.rule.HasField("confidence"):
        return message
    filled = pb.Entry()
    filled.CopyFrom(message)
    filled.rule.confidence = 1.0
    return filled


def _described(wrong: ErrorDetails) -> str:
    what = str(wrong["ctx"]["error"]) if wrong["type"] == "value_error" else wrong["msg"]
    # A check of several fields together has no value of its own.
    return f"{what}, got {_shown(wrong['input'])}" if wrong["loc"] else what


def _shown(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
