"""Logs: where the lines go."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from services.common import logs
from services.common.settings import Settings


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_reaches_the_process_own_standard_error_with_the_request_id(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # As Ray Serve does in a replica, whose logger may drop what is written here.
    taken = io.StringIO()
    monkeypatch.setattr(sys, "stderr", taken)
    logs.configure(Settings(log_format="json"))
    structlog.contextvars.bind_contextvars(request_id="mine")
    structlog.get_logger().warning("knowledge_late", timeout_s=2.0)
    assert taken.getvalue() == ""
    line = json.loads(capfd.readouterr().err)
    assert line["event"] == "knowledge_late"
    assert line["request_id"] == "mine"
    assert line["level"] == "warning"
