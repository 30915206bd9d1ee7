from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from training.teachers.ledger import Ledger, Payment


def paid(usd: float) -> Payment:
    return Payment(
        endpoint="e", model="m", question="q", prompt_tokens=1, completion_tokens=1, usd=usd
    )


def test_what_other_processes_paid_counts_too(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    ours, theirs = Ledger(path, cap_usd=10), Ledger(path, cap_usd=10)
    theirs.record(paid(1.5))
    ours.record(paid(2))
    assert ours.spent_usd == 3.5
    assert Ledger(path, cap_usd=None).spent_usd == 3.5


async def test_a_request_waits_for_room_that_another_gives_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", cap_usd=1)
    order = []

    async def ask(name: str) -> None:
        async with ledger.reserved(0.8):
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(ask("a"), ask("b"))
    assert order == ["a", "a", "b", "b"]


async def test_room_is_given_back_after_a_failure(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", cap_usd=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with ledger.reserved(1):
                raise ZeroDivisionError


async def test_without_a_cap_there_is_always_room(tmp_path: Path) -> None:
    async with Ledger(tmp_path / "ledger.jsonl", cap_usd=None).reserved(1e9):
        pass


@pytest.mark.parametrize("line", [b"{}\n", b'{"at": "2026-01-01T00:00', b'{"usd": -1}\n'])
def test_a_damaged_line_is_refused_for_the_cap_counts_it(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, cap_usd=1).record(paid(0.1))
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(ConfigurationError, match=rf"^{path}:2: "):
        Ledger(path, cap_usd=1)


def test_a_ledger_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"ledger.jsonl cannot be"):
        Ledger(tmp_path / "run" / "ledger.jsonl", cap_usd=1).record(paid(1))
