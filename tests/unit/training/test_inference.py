"""Work on many rows in one process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.common.errors import NesycdError, StudentUnavailableError
from tests.unit.training.toy_stages import Number, Squaring
from training.inference import work_through
from training.row_file import RowFile, read_rows

ITEMS = [Number(key=f"n{number}", value=number) for number in range(20)]


class Failing(Squaring):
    """Raises for one row, once the rows before it are done."""

    def __init__(self, key: str, error: Exception) -> None:
        super().__init__(seconds=0)
        self.key = key
        self.error = error

    async def __call__(self, item: Number, /) -> Number:
        if item.key == self.key:
            raise self.error
        return await super().__call__(item)


def _work(path: Path, worker: Squaring, *, in_flight: int = 4) -> int:
    """How many rows it was told of."""
    told = 0

    def advance(count: int = 1, /) -> None:
        nonlocal told
        told += count

    with RowFile(path, Number) as rows:
        left = [item for item in ITEMS if item.key not in rows.present]
        work_through(left, worker, rows, in_flight=in_flight, advance=advance)
    return told


def test_every_item_becomes_a_row(tmp_path: Path) -> None:
    assert _work(tmp_path / "rows.jsonl", Squaring()) == len(ITEMS)
    rows = {row.key: row.value for row in read_rows(tmp_path / "rows.jsonl", Number)}
    assert rows == {item.key: item.value**2 for item in ITEMS}


def test_so_many_rows_are_in_flight_and_no_more(tmp_path: Path) -> None:
    running, most = 0, 0

    class Counting(Squaring):
        async def __call__(self, item: Number, /) -> Number:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1
            return item

    _work(tmp_path / "rows.jsonl", Counting(), in_flight=3)
    assert most == 3


def test_a_failure_is_raised_as_it_is_and_the_rows_before_it_are_kept(tmp_path: Path) -> None:
    worker = Failing("n7", StudentUnavailableError("the engine died"))
    with pytest.raises(StudentUnavailableError, match=r"^the engine died$"):
        _work(tmp_path / "rows.jsonl", worker, in_flight=1)
    assert worker.closed == 1
    assert [row.key for row in read_rows(tmp_path / "rows.jsonl", Number)] == [
        f"n{number}" for number in range(7)
    ]
    assert _work(tmp_path / "rows.jsonl", Squaring()) == len(ITEMS) - 7


def test_of_several_failures_the_first_is_raised(tmp_path: Path) -> None:
    worker = Squaring(failing=lambda key: f"no {key}")
    with pytest.raises(NesycdError, match=r"^no n0$"):
        _work(tmp_path / "rows.jsonl", worker)


def test_a_bug_is_not_taken_for_a_known_error(tmp_path: Path) -> None:
    worker = Failing("n7", ZeroDivisionError("a bug"))
    with pytest.raises(ExceptionGroup) as raised:
        _work(tmp_path / "rows.jsonl", worker)
    assert raised.group_contains(ZeroDivisionError, match="a bug")
    assert worker.closed == 1


def test_a_worker_that_cannot_be_opened_is_closed_all_the_same(tmp_path: Path) -> None:
    class Broken(Squaring):
        async def open(self) -> None:
            raise NesycdError("no model")

    worker = Broken()
    with pytest.raises(NesycdError, match="no model"):
        _work(tmp_path / "rows.jsonl", worker)
    assert worker.closed == 1


def test_without_items_nothing_is_opened(tmp_path: Path) -> None:
    worker = Squaring()
    with RowFile(tmp_path / "rows.jsonl", Number) as rows:
        work_through([], worker, rows, in_flight=4, advance=lambda _=1: None)
    assert worker.closed == 0


def test_a_row_with_an_error_is_tried_again(tmp_path: Path) -> None:
    class Moody(Squaring):
        calls = 0

        async def __call__(self, item: Number, /) -> Number:
            self.calls += 1
            error = "busy" if item.key == "n3" and self.calls <= len(ITEMS) else ""
            return item.model_copy(update={"error": error})

    worker = Moody()
    _work(tmp_path / "rows.jsonl", worker)
    assert _work(tmp_path / "rows.jsonl", worker) == 1
    assert not any(row.error for row in read_rows(tmp_path / "rows.jsonl", Number))
