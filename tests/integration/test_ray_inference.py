"""Rows spread over a Ray cluster: the same as in one process, whatever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.common.errors import (
    AdapterNotFoundError,
    ConfigurationError,
    StudentUnavailableError,
)
from tests.ray_workers import Number, Square, Squaring
from training import ray_inference
from training.inference import work_through
from training.row_file import RowFile, read_rows
from training.worker import RayCluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    # Ray's own use of what it calls deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
]

ITEMS = [Number(key=f"n{number}\u2028", value=number) for number in range(120)]
Advance = Callable[[RowFile[Square]], None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A Ray of the tests' own, on a port of its own, with two processors."""
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "include_dashboard": False,
            "object_store_memory": 128 << 20,
        },
    )
    yield RayCluster(started.address, workers=2)
    started.shutdown()


def _work(
    path: Path,
    cluster: RayCluster | None,
    worker: Squaring | None = None,
    on_row: Advance = lambda _: None,
) -> dict[str, Square]:
    with RowFile(path, Square) as rows:

        def advance(count: int = 1, /) -> None:
            assert count == 1
            on_row(rows)

        work_through(
            [item for item in ITEMS if item.key not in rows.present],
            worker or Squaring(),
            rows,
            in_flight=8,
            advance=advance,
            cluster=cluster,
        )
    return {row.key: row for row in read_rows(path, Square)}


def _without_process(rows: dict[str, Square]) -> dict[str, Square]:
    return {key: row.model_copy(update={"process": 0}) for key, row in rows.items()}


def _lines(path: Path) -> int:
    return len(path.read_bytes().splitlines())


def test_the_rows_are_those_of_a_single_process(tmp_path: Path, cluster: RayCluster) -> None:
    here = _work(tmp_path / "here.jsonl", None)
    there = _work(tmp_path / "there.jsonl", cluster)
    assert _without_process(there) == _without_process(here)
    assert len({row.process for row in there.values()} - {os.getpid()}) == 2
    assert _lines(tmp_path / "there.jsonl") == len(ITEMS)


def test_a_killed_worker_loses_no_row_and_doubles_none(tmp_path: Path, cluster: RayCluster) -> None:
    path = tmp_path / "rows.jsonl"
    killed: list[int] = []

    def kill(rows: RowFile[Square]) -> None:
        if not killed and len(rows.present) >= 10:
            killed.append(next(read_rows(path, Square)).process)
            os.kill(killed[0], signal.SIGKILL)

    rows = _work(path, cluster, on_row=kill)
    assert killed
    assert _without_process(rows) == _without_process(_work(tmp_path / "here.jsonl", None))
    assert _lines(path) == len(ITEMS)


def test_what_was_there_is_not_done_again(tmp_path: Path, cluster: RayCluster) -> None:
    path = tmp_path / "rows.jsonl"
    with RowFile(path, Square) as rows:
        for item in ITEMS[:100]:
            rows.append(Square(key=item.key, value=-1))
    after = _work(path, cluster)
    assert sum(row.value == -1 for row in after.values()) == 100
    assert _lines(path) == len(ITEMS)


def test_a_worker_s_error_ends_the_work_as_it_is(tmp_path: Path, cluster: RayCluster) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(AdapterNotFoundError) as raised:
        _work(path, cluster, Squaring(failing=ITEMS[60].key))
    assert raised.value.message == "adapter: 'sp@v1' is not here"
    assert raised.value.violations[0].field == "adapter"
    kept = _lines(path)
    assert 0 < kept < len(ITEMS)
    assert len(_work(path, cluster)) == len(ITEMS)


def test_a_worker_that_cannot_be_opened_says_why(tmp_path: Path, cluster: RayCluster) -> None:
    with pytest.raises(ConfigurationError, match=r"^no such model$"):
        _work(tmp_path / "rows.jsonl", cluster, Squaring(unopened="no such model"))


def test_workers_that_die_over_and_over_end_the_work(
    tmp_path: Path, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_inference, "_MOST_DEATHS", 1)
    with pytest.raises(StudentUnavailableError, match=r"^ray: worker processes died"):
        _work(tmp_path / "rows.jsonl", cluster, Squaring(deadly=ITEMS[0].key))


def test_more_workers_than_processors_are_refused(tmp_path: Path, cluster: RayCluster) -> None:
    with pytest.raises(ConfigurationError, match=r"^--ray-workers: 3 workers do not fit on the 2"):
        _work(tmp_path / "rows.jsonl", RayCluster(cluster.address, workers=3))


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--ray: cannot start or reach Ray at "):
        _work(tmp_path / "rows.jsonl", RayCluster("127.0.0.1:1"))


def test_a_ray_of_its_own_is_started_and_ended(tmp_path: Path) -> None:
    import ray

    # Last: Ray Data cannot go back to a cluster after another in the same process.

    rows = _work(tmp_path / "rows.jsonl", RayCluster("local", workers=2))
    assert len(rows) == len(ITEMS)
    assert not ray.is_initialized()
