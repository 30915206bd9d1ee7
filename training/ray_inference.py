"""Rows spread over a Ray cluster with Ray Data: what `work_through` does when it is given one.

Rows travel as JSON in small blocks. Each worker process opens the worker once and keeps
`in_flight` rows going over several blocks at a time, so that one slow row holds up no other. A
process that dies is started again and its blocks are done again; rows are written here alone,
each key once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from services.common.errors import ConfigurationError, NesycdError, StudentUnavailableError
from training.progress import Advance
from training.row_file import Row, RowFile, parse_row
from training.worker import Item, RayCluster, Result, Worker

# Read by Ray when it is imported; as in services/cluster.py.
_ENVIRONMENT = {
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OBJECT_STORE_BYTES = 256 << 20

_BLOCKS_AT_A_TIME: Final = 8
"""Blocks in one process: together twice the rows it keeps in flight."""

_MOST_BLOCKS: Final = 4096
_MOST_DEATHS: Final = 10
"""Of processes, by whatever kills them, before the work ends: Ray would go on for ever."""

_REACHED_WITHIN_S = 10.0


def spread(
    items: Sequence[Item],
    worker: Worker[Item, Result],
    rows: RowFile[Result],
    *,
    in_flight: int,
    advance: Advance,
    cluster: RayCluster,
) -> None:
    """Makes the rows of all items on the cluster, and writes them here as they come.

    Args:
        items: at least one.
        worker: opened once per process; its package has to be installed on the cluster.
        rows: an open file.
        in_flight: most items at a time, per process.
        advance: called for each row written.
        cluster: where, and how many processes.

    Raises:
        ConfigurationError: the cluster cannot be reached, or is too small.
        StudentUnavailableError: processes die over and over.
        NesycdError: what the worker raised first.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray  # noqa: PLC0415 - reads the environment above

    _connect(cluster)
    done: set[str] = set()
    try:
        for line in _results(items, worker, in_flight=in_flight, cluster=cluster):
            row = parse_row(line.encode(), rows.model, f"ray: row {len(done) + 1}")
            if row.key not in done:
                done.add(row.key)
                rows.append(row)
                advance(1)
    except ray.exceptions.RayTaskError:
        raise  # a bug in the worker
    except ray.exceptions.RayError as error:
        raise StudentUnavailableError(
            f"ray: {str(error).strip().splitlines()[0]}. The rows made until then are kept; run "
            f"the same command again."
        ) from error
    finally:
        ray.shutdown()


def _connect(cluster: RayCluster) -> None:
    import ray  # noqa: PLC0415

    host, _, port = cluster.address.rpartition(":")
    local = {
        "num_cpus": max(os.cpu_count() or 1, cluster.workers),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    try:
        if host and port.isdecimal():
            # Ray itself would try for five minutes.
            socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()
        ray.init(
            address=cluster.address,
            namespace="nesycd",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(local if cluster.address == "local" else {}),
        )
    except Exception as error:  # Ray raises just that when its processes do not come up in time
        ray.shutdown()
        raise ConfigurationError(
            f"--ray: cannot start or reach Ray at {cluster.address!r}: {error}"
        ) from error


def _results(
    items: Sequence[Item],
    worker: Worker[Item, Result],
    *,
    in_flight: int,
    cluster: RayCluster,
) -> Iterator[str]:
    """The rows as JSON, in the order they are finished. Raises: the first NesycdError."""
    import ray.data  # noqa: PLC0415

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    workers = _worker_count(cluster)
    starts = ray.remote(num_cpus=0)(_Starts).remote(most=workers + _MOST_DEATHS)
    block = max(1, in_flight // 4, len(items) // _MOST_BLOCKS)
    made = ray.data.from_items(
        [{"item": item.model_dump_json()} for item in items],
        override_num_blocks=-(-len(items) // block),
    ).map_batches(
        _Process,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            size=workers,
            max_tasks_in_flight_per_actor=_BLOCKS_AT_A_TIME,
            max_concurrent_calls_per_actor=_BLOCKS_AT_A_TIME,
            enable_true_multi_threading=True,
        ),
        fn_constructor_args=(worker, type(items[0]), in_flight, starts),
        **_needs_of_a_worker(),
    )
    for batch in made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from filter(None, batch["row"].to_pylist())
        for failure in filter(None, batch["failure"].to_pylist()):
            raise pickle.loads(failure)  # noqa: S301 - from our own processes


def _worker_count(cluster: RayCluster) -> int:
    """As many as asked for; else one per GPU; else one per machine, for an engine takes it all."""
    import ray  # noqa: PLC0415

    there = ray.cluster_resources()
    cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    machines = sum(node["Alive"] and node["Resources"].get("CPU", 0) >= 1 for node in ray.nodes())
    count = cluster.workers or gpus or machines
    kind, most = ("GPUs", gpus) if gpus else ("processors", cpus)
    if not 0 < count <= most:
        raise ConfigurationError(
            f"--ray-workers: {count} workers do not fit on the {most} {kind} of {cluster.address!r}"
        )
    return count


def _needs_of_a_worker() -> dict[str, int]:
    import ray  # noqa: PLC0415

    return {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {"num_cpus": 1}


class _Starts:
    """Counts, for the whole cluster, how often a process was started."""

    def __init__(self, most: int) -> None:
        self._left = most

    def another(self) -> bool:
        """Whether there may be one more."""
        self._left -= 1
        return self._left >= 0


class _Process:
    """The worker in a process of the cluster, open from its first block to its last.

    Its methods are called by several threads; what they ask for is done in one event loop.
    """

    def __init__(
        self, worker: Worker[Any, Any], model: type[Row], in_flight: int, starts: Any
    ) -> None:
        import ray  # noqa: PLC0415

        self._worker = worker
        self._model = model
        self._free = asyncio.Semaphore(in_flight)
        self._failure: NesycdError | None = None
        self._loop = asyncio.new_event_loop()
        try:
            if not ray.get(starts.another.remote()):
                raise StudentUnavailableError(
                    f"ray: worker processes died {_MOST_DEATHS + 1} times. The rows made until "
                    f"then are kept; run the same command again, with fewer workers if memory "
                    f"ran out."
                )
            self._loop.run_until_complete(worker.open())
        except NesycdError as error:
            self._failure = error
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[str] | list[bytes]]:
        work = self._rows(block["item"].to_pylist())
        rows = asyncio.run_coroutine_threadsafe(work, self._loop).result()
        # The failure goes as a value: Ray would wrap what is raised, and drop the rows.
        failure = b"" if self._failure is None else pickle.dumps(self._failure)
        return {"row": [*rows, ""], "failure": [b""] * len(rows) + [failure]}

    def __del__(self) -> None:
        asyncio.run_coroutine_threadsafe(self._worker.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _rows(self, lines: Sequence[str]) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._row(line)) for line in lines]
        return [task.result() for task in tasks if task.result()]

    async def _row(self, line: str) -> str:
        """The row as JSON; "" once anything failed."""
        async with self._free:
            if self._failure is not None:
                return ""
            try:
                row: Row = await self._worker(self._model.model_validate_json(line))
            except NesycdError as error:
                self._failure = self._failure or error
                return ""
            return row.model_dump_json()
