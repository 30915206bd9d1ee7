"""Collects what is wrong with a dump, so that a person corrects it all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from services.common.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SHOWN = 20
"""Problems listed in the message; the rest are counted."""

_VALUE_CHARS = 60

_Model = TypeVar("_Model", bound=BaseModel)

_WORDS = {"missing": "is missing", "extra_forbidden": "unknown field"}
"""Plainer words than pydantic's, by its error type."""


class Problems:
    """Problems of one dump, in the order found. True when there is any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._shown: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._count)

    def add(self, place: str, what: str) -> None:
        """Notes one problem; `place` is FILE or FILE:LINE."""
        self._count += 1
        if self._count <= SHOWN:
            self._shown.append(f"{place}: {what}")

    def parse(self, model: type[_Model], content: bytes, place: str) -> _Model | None:
        """The JSON as `model`; None, and a problem per wrong field, when it is not one."""
        return self._validated(lambda: model.model_validate_json(content), place)

    def check(self, model: type[_Model], values: object, place: str) -> _Model | None:
        """As `parse`, of values in memory."""
        return self._validated(lambda: model.model_validate(values), place)

    def _validated(self, validate: Callable[[], _Model], place: str) -> _Model | None:
        try:
            return validate()
        except ValidationError as error:
            for wrong in error.errors(include_url=False):
                self.add(place, _describe(wrong))
            return None

    def raise_any(self) -> None:
        """Raises: ConfigurationError that lists the problems, if there are any."""
        if not self._count:
            return
        lines = [f"{self._folder}: {self._count} problem{'s' * (self._count > 1)}", *self._shown]
        if self._count > SHOWN:
            lines.append(f"... and {self._count - SHOWN} more")
        raise ConfigurationError("\n".join(lines))


def _describe(wrong: ErrorDetails) -> str:
    field = ".".join(str(part) for part in wrong["loc"])
    # Rows are one line each, and the place says already which.
    what = _WORDS.get(wrong["type"]) or wrong["msg"].replace(" at line 1 column ", " at column ")
    if wrong["type"] == "value_error":
        what = str(wrong["ctx"]["error"])
    said = f"{field}: {what}" if field else what
    if wrong["type"] in {"missing", "json_invalid"} or not field:
        return said
    return f"{said}, got {_shortened(wrong['input'])}"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _VALUE_CHARS else text[: _VALUE_CHARS - 3] + "..."
