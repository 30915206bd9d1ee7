"""Progress where there is no terminal."""

from __future__ import annotations

import pytest

from training import progress
from training.progress import Progress


def test_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"[bold] {'long ' * 40}"
    Progress().say(line)
    assert capsys.readouterr() == ("", f"{line}\n")


def test_quiet_means_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SILENCE_S", -1)
    shown = Progress(quiet=True)
    shown.say("teach ...")
    with shown.bar("teach", 2) as advance:
        advance()
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SILENCE_S", -1)
    with Progress().bar("teach", 10, done=4) as advance:
        advance()
        advance(3)
    assert capsys.readouterr().err == "teach: 5 of 10\nteach: 8 of 10\n"


def test_without_a_terminal_it_is_silent_in_between(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().bar("teach", 10) as advance:
        for _ in range(10):
            advance()
    assert capsys.readouterr().err == ""


def test_an_interrupt_that_was_swallowed_is_raised_again_by_the_next_row() -> None:
    progress = Progress(quiet=True)
    with pytest.raises(KeyboardInterrupt):
        progress.interrupt()
    with progress.bar("rows", 2) as advance, pytest.raises(KeyboardInterrupt):
        advance()
