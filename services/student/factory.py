"""Opens the student that the settings ask for."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import structlog

from services.common.settings import Settings
from services.student.fake import ScriptedStudent, default_script
from services.student.models import display_name, prepare_student
from services.student.protocol import ManagedStudent

log = structlog.get_logger()


def open_student(settings: Settings) -> ManagedStudent:
    """Starts the student's engine; blocks for seconds to minutes.

    Raises:
        ConfigurationError: the model, the default adapter or the engine's settings are wrong.
    """
    if settings.student.backend == "scripted":
        return ScriptedStudent(default_script, settings.student)
    model = prepare_student(settings, lambda step: log.info("student_prepared", step=step))
    # Read when vllm is imported. Its warnings speak of choices made here on purpose.
    level = "DEBUG" if settings.log_level == "debug" else "ERROR"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", level)
    # Its import makes a million objects that stay; looking for garbage among them takes a
    # quarter of the time.
    gc.disable()
    try:
        start = _engine(settings.student.backend)
    finally:
        gc.enable()
        gc.freeze()
    return start(settings.student, model=model, name=display_name(model))


def _engine(backend: str) -> Callable[..., ManagedStudent]:
    # Both import torch, and only one of the two needs vllm.
    if backend == "transformers":
        from services.student.offline.student import TransformersStudent  # noqa: PLC0415

        return TransformersStudent
    from services.student.vllm_engine import VllmStudent  # noqa: PLC0415

    return VllmStudent
