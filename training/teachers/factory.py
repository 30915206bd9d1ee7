"""From the configuration of a teacher to the teacher: checked, described, opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.common.errors import ConfigurationError
from services.common.settings import load_settings
from services.student.models import prepare_student
from training.config import EndpointTeacher, LocalTeacher, RecordedTeacher, Teacher
from training.teachers.fake import ScriptedTeacher
from training.teachers.ledger import LEDGER, Ledger
from training.teachers.protocol import Teacher as OpenTeacher
from training.teachers.recorded import RecordedRationales

_IN_FLIGHT = 64  # of teachers that answer at once
_LOCAL_WRITES = ("backend", "model", "dtype", "max_model_len", "adapters_dir", "default_adapter")


def prepare_teacher(spec: Teacher, on_progress: Callable[[str], None]) -> None:
    """Fetches and converts the model of a local teacher, where that has to be done; or nothing.

    `on_progress` gets one short line before each step that takes long.

    Raises:
        ConfigurationError: as `services.student.models.prepare_student`.
    """
    if isinstance(spec, LocalTeacher) and spec.student.backend != "scripted":
        prepare_student(load_settings().model_copy(update={"student": spec.student}), on_progress)


def open_teacher(spec: Teacher, ledger_folder: Path) -> OpenTeacher:
    """Opens a teacher; a local model takes seconds to minutes.

    Args:
        spec: as configured.
        ledger_folder: the run folder, which holds what was paid to endpoints.

    Raises:
        ConfigurationError: no key, no such file, a model that cannot be loaded.
    """
    check_teacher(spec)
    match spec:
        case EndpointTeacher():
            from training.teachers.endpoint import ChatEndpoint  # noqa: PLC0415 - imports openai

            ledger = Ledger(ledger_folder / LEDGER, cap_usd=spec.budget_usd)
            return ChatEndpoint(spec, key=_key(spec), ledger=ledger)
        case LocalTeacher():
            from training.teachers.local import LocalModel  # noqa: PLC0415 - imports an engine

            return LocalModel(spec, load_settings())
        case RecordedTeacher():
            return RecordedRationales(spec.paths)
    return ScriptedTeacher()


def check_teacher(spec: Teacher) -> None:
    """Refuses what would fail later, before anything expensive starts.

    Raises: ConfigurationError when the key or a file is missing, or the budget can cap nothing.
    """
    match spec:
        case EndpointTeacher():
            _key(spec)
            place = urlsplit(spec.base_url)
            if place.username or place.password:
                raise ConfigurationError(
                    "teacher.base_url: holds a user or password; name the variable of the "
                    "environment that has the key in key_variable"
                )
            if spec.budget_usd and not (spec.usd_per_million_in or spec.usd_per_million_out):
                raise ConfigurationError(
                    f"teacher.budget_usd: {spec.budget_usd} caps nothing while "
                    f"usd_per_million_in and usd_per_million_out are 0"
                )
        case RecordedTeacher():
            for path in spec.paths:
                if not path.is_file():
                    raise ConfigurationError(f"teacher.paths: {path} is no file")


def teacher_settings(spec: Teacher) -> dict[str, object]:
    """What the texts of a teacher depend on, for a stage's key.

    Not the budget, prices or requests in flight: who raises the budget goes on in the same
    folder. Of files only their names, since their content is hashed beside this.
    """
    match spec:
        case EndpointTeacher():
            return {"kind": spec.kind, "base_url": spec.base_url, "model": spec.model}
        case LocalTeacher():
            student = spec.student.model_dump(mode="json", include=set(_LOCAL_WRITES))
            return {"kind": spec.kind, "chat": spec.chat, "student": student}
        case RecordedTeacher():
            return {"kind": spec.kind, "files": [path.name for path in spec.paths]}
    return {"kind": spec.kind}


def teacher_name(spec: Teacher) -> str:
    """Who writes, for people."""
    match spec:
        case EndpointTeacher():
            return f"{spec.model} at {spec.base_url}"
        case LocalTeacher():
            return f"{spec.student.model} on this machine"
        case RecordedTeacher():
            return f"recorded in {', '.join(path.name for path in spec.paths)}"
    return "a script"


def requests_in_flight(spec: Teacher) -> int:
    """How many rows are worth working on at a time."""
    if isinstance(spec, EndpointTeacher | LocalTeacher):
        return spec.in_flight
    return _IN_FLIGHT


def _key(spec: EndpointTeacher) -> SecretStr | None:
    if not spec.key_variable:
        return None
    key = os.environ.get(spec.key_variable, "").strip()
    if not key:
        raise ConfigurationError(
            f"teacher.key_variable: the environment has no {spec.key_variable}, which is to hold "
            f"the key for {spec.base_url}; set it, or set key_variable to nothing"
        )
    return SecretStr(key)
