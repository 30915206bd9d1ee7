from __future__ import annotations

import getpass
import io
import sys

import pytest

from kb_loader.session import author, progress
from services.common.errors import InvalidRequestError
from services.common.records import Authorship


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_author_is_the_login_name_if_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert author("", "why") == Authorship("ann", "why")
    assert author("bob", "") == Authorship("bob")


def test_a_login_without_a_name_has_to_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(InvalidRequestError, match="--actor: say who you are"):
        author("", "")


def test_the_bar_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for sink, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", sink)
        with progress("Loading", 1000) as on_progress:
            for _ in range(1000):
                on_progress(1)
        assert ("Loading" in sink.getvalue()) is is_drawn
