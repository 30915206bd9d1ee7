"""The same work on many independent rows: here, or spread over a Ray cluster.

Teaching, mining, distilling and evaluating are this. Rows are written as they come, so a killed
run goes on where it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.common.errors import NesycdError
from training.progress import Advance, Progress
from training.row_file import RowFile
from training.worker import Item, RayCluster, Result, Worker


def finish_rows(
    wanted: Sequence[Item],
    rows: RowFile[Result],
    make_worker: Callable[[], Worker[Item, Result]],
    *,
    what: str,
    in_flight: int,
    progress: Progress,
    cluster: RayCluster | None = None,
    passes: int = 1,
) -> None:
    """Makes those rows that are wanted and not present, under a bar; does nothing if there are all.

    Args:
        wanted: each has the key of the row it becomes.
        rows: an open file.
        make_worker: called only if something is left, since an engine takes a minute to start.
        what: the bar says it counts.
        in_flight: most items at a time, per process.
        progress: shows the bar.
        cluster: that rows are spread over; None for this process.
        passes: rows that failed in one are tried again in the next.

    Raises:
        NesycdError: what the worker raised first.
    """
    for _ in range(passes):
        left = [item for item in wanted if item.key not in rows.present]
        if not left:
            return
        with progress.bar(what, len(wanted), done=len(wanted) - len(left)) as advance:
            work_through(
                left, make_worker(), rows, in_flight=in_flight, advance=advance, cluster=cluster
            )


def work_through(
    items: Sequence[Item],
    worker: Worker[Item, Result],
    rows: RowFile[Result],
    *,
    in_flight: int,
    advance: Advance,
    cluster: RayCluster | None = None,
) -> None:
    """Makes and writes the rows of all items, in the order they are finished.

    Args:
        items: those whose rows are wanted and not present.
        worker: what is done with each.
        rows: an open file.
        in_flight: most items at a time, per process.
        advance: called for each row written.
        cluster: the cluster that rows are spread over; None for this process.

    Raises:
        NesycdError: what the worker raised first.
    """
    if not items:
        return
    if cluster is not None:
        from training.ray_inference import spread  # noqa: PLC0415 - imports ray

        spread(items, worker, rows, in_flight=in_flight, advance=advance, cluster=cluster)
        return
    asyncio.run(_here(items, worker, rows, in_flight, advance))


async def _here(
    items: Sequence[Item],
    worker: Worker[Item, Result],
    rows: RowFile[Result],
    in_flight: int,
    advance: Advance,
) -> None:
    waiting = iter(items)

    async def take() -> None:
        for item in waiting:
            rows.append(await worker(item))
            advance(1)

    try:
        await worker.open()
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(items))):
                group.create_task(take())
    except* NesycdError as failures:
        raise _first(failures) from None
    finally:
        await worker.close()


def _first(failures: BaseExceptionGroup[NesycdError]) -> NesycdError:
    for error in failures.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
