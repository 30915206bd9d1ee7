"""Structured logs: snake_case events, values as keys, the request id in every line."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from services.common.settings import Settings


def configure(settings: Settings) -> None:
    """Sets up structlog for this process, on standard error. User text only at debug."""
    # The process's own: Ray Serve puts a logger in place of `sys.stderr` in a replica, whose
    # level then drops what is written there.
    stream = sys.__stderr__ or sys.stderr
    console = settings.log_format == "console" or (
        settings.log_format == "auto" and stream.isatty()
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
