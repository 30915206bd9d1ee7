"""Runs the command line in this process, as `nesycd` does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from services.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def nesycd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["nesycd", *arguments])
        # Commands of other packages join at start; they are added once per process.
        monkeypatch.setattr(main, "entry_points", lambda **_: ())
        with pytest.raises(SystemExit) as ended:
            main.main()
        shown = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ended(code, shown.out, shown.err)

    return run
