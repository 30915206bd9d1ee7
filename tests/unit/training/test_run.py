"""Runs: what is done again, what is not, and what a kill leaves behind."""

from __future__ import annotations

import fcntl
import multiprocessing
import random
import signal
import time
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError, NesycdError
from tests.unit.training.toy_stages import COUNT, Number, Sorted, Squares, Squaring, toy_run
from training.manifest import MANIFEST
from training.row_file import read_rows
from training.run import Run, State


def _states(run: Run) -> list[State]:
    return [standing.state for standing in run.standings()]


def _folders(run: Run) -> list[str]:
    return sorted(path.name for path in run.folder.iterdir() if path.is_dir())


def _output(run: Run) -> bytes:
    folder = next(one.folder for one in run.standings() if one.stage.name == "sorted")
    assert folder is not None
    return (folder / "sorted.jsonl").read_bytes()


def test_a_run_brings_every_stage_to_its_end(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    assert _states(run) == [State.READY, State.WAITING]
    run.run()
    assert _states(run) == [State.DONE, State.DONE]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    stages = Squares(), Sorted()
    toy_run(tmp_path, *stages).run()
    toy_run(tmp_path, *stages).run()
    assert [stage.runs for stage in stages] == [1, 1]


def test_a_stage_alone_is_run_with_what_it_needs(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    assert list(run.run("squares")) == ["squares"]
    assert _states(run) == [State.DONE, State.READY]
    assert list(run.run("sorted")) == ["squares", "sorted"]


def test_a_stage_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^stage: there is no 'sort'; there are squares, sorted$"
    ):
        toy_run(tmp_path).run("sort")


def test_a_changed_setting_gives_a_new_folder_and_leaves_the_old(tmp_path: Path) -> None:
    first, second = toy_run(tmp_path), toy_run(tmp_path, seed=1)
    first.run()
    before = _folders(first)
    second.run()
    # The squares are the same, so what is made of them is the same stage.
    assert len(_folders(first)) == 3
    assert set(before) < set(_folders(first))
    assert _states(first) == [State.DONE, State.DONE]


def test_a_changed_file_runs_the_stage_again(tmp_path: Path) -> None:
    toy_run(tmp_path).run()
    (tmp_path / "data.jsonl").write_text("{}\n{}\n")
    assert _states(toy_run(tmp_path))[0] is State.READY


def test_two_configurations_share_the_stages_that_are_the_same(tmp_path: Path) -> None:
    stages = Squares(), Sorted()
    toy_run(tmp_path, *stages).run()
    other = toy_run(tmp_path, *stages, name="other")
    assert _states(other) == [State.DONE, State.READY]
    other.run()
    assert [stage.runs for stage in stages] == [1, 2]


@pytest.mark.parametrize("how", ["was changed", "is missing"])
def test_changed_outputs_are_refused(tmp_path: Path, how: str) -> None:
    run = toy_run(tmp_path)
    folder = run.run()["squares"].folder
    assert folder is not None
    path = folder / "squares.jsonl"
    if how == "is missing":
        path.unlink()
    else:
        path.write_text('{"key":"n1","value":1}\n')
    with pytest.raises(ConfigurationError) as raised:
        toy_run(tmp_path).run()
    assert raised.value.message == (
        f"{path} {how} since stage squares made it: put it back, or delete "
        f"{folder / MANIFEST} to run the stage again"
    )


def test_without_its_manifest_a_stage_is_run_again_on_what_is_there(tmp_path: Path) -> None:
    stages = Squares(), Sorted()
    folder = toy_run(tmp_path, *stages).run()["squares"].folder
    assert folder is not None
    (folder / MANIFEST).unlink()
    assert _states(toy_run(tmp_path))[0] is State.BEGUN
    toy_run(tmp_path, *stages).run()
    # The rows were all there, so the outputs are the same, and what follows is left alone.
    assert [stage.runs for stage in stages] == [2, 1]


def test_a_stage_that_fails_keeps_its_rows_and_goes_on(tmp_path: Path) -> None:
    failing = Squares(Squaring(failing=lambda key: "down" if key == "n20" else ""))
    with pytest.raises(NesycdError, match=r"^down$"):
        toy_run(tmp_path, failing, Sorted()).run()
    run = toy_run(tmp_path)
    begun = next(run.standings())
    assert begun.state is State.BEGUN
    assert begun.folder is not None
    kept = len(list(read_rows(begun.folder / "squares.jsonl", Number)))
    assert 16 <= kept < COUNT
    run.run()
    rows = (begun.folder / "squares.jsonl").read_bytes().splitlines()
    assert len(rows) == COUNT


def test_a_file_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    (tmp_path / "data.jsonl").unlink()
    with pytest.raises(ConfigurationError, match=r"data.jsonl cannot be read: No such file"):
        run.run()
    assert _folders(run) == []


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    run.folder.mkdir()
    with (run.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match=r"another process works in this run folder$"):
            run.run()
    run.run()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    run.folder.write_text("no folder")
    with pytest.raises(ConfigurationError, match=f"^{run.folder} cannot be made: "):
        run.run()


def test_killed_at_any_moment_a_run_loses_and_doubles_nothing(tmp_path: Path) -> None:
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    whole = toy_run(tmp_path / "undisturbed")
    whole.run()
    draw = random.Random(5)  # noqa: S311 - moments, not secrets
    killed = 0
    for _ in range(10):
        process = _run_in_a_process(tmp_path / "killed")
        _wait_for_more_rows(process, tmp_path / "killed", draw.randint(0, 5))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed >= 5
    run = toy_run(tmp_path / "killed")
    run.run()
    assert _output(run) == _output(whole)
    folder = next(run.standings()).folder
    assert folder is not None
    assert len((folder / "squares.jsonl").read_bytes().splitlines()) == COUNT


def _run_in_a_process(folder: Path) -> multiprocessing.context.ForkProcess:
    process = multiprocessing.get_context("fork").Process(target=toy_run(folder).run)
    process.start()
    return process


def _wait_for_more_rows(
    process: multiprocessing.context.ForkProcess, folder: Path, count: int
) -> None:
    before = _size(folder)
    while process.is_alive() and _size(folder) < before + 20 * count + 1:
        time.sleep(0.0005)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "run").glob("squares-*/squares.jsonl"))
