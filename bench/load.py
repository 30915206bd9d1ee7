"""How fast a dump goes into the Neo4j store, against the plainest way to write the same rows.

    python -m bench.load --sizes 10000 100000

The limit is a bare `UNWIND $rows CREATE` of the same properties, 1,000 a transaction, into a label
without an index; the client's own work is not counted there. Half of it is written before the
store's load and half after, so that what else the machine does falls on both. `rows_per_s` is the
store's load up to its last row, `ratio` that against the limit (goal: at least 0.9), `index_s`
what its indexes take after that, `growth` the seconds per entry, indexes included, against the
smallest size (goal: at most 1.5).

Vectors are random, which is the hardest case for an index. A server of its own is started for
each size from the distribution that NESYCD_TEST_NEO4J or NEO4J_HOME names.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import neo4j
import numpy as np
import structlog
from rich.console import Console
from rich.table import Table

from bench import record
from bench.retrieval import compose, entries_of
from services.common.records import Entry
from services.knowledge.checksums import release_checksum
from services.knowledge.neo4j.rows import Properties, revision_properties
from services.knowledge.neo4j.store import Neo4jStore
from services.knowledge.neo4j.writing import BATCH
from services.knowledge.protocol import Release, Vector
from tests.neo4j_server import OwnServer, own_server

DIMENSION = 384
WARM_UP = 10_000
GOAL_PER_S = 3_000.0
GOAL_RATIO = 0.9
GOAL_GROWTH = 1.5

_PLAIN = "UNWIND $rows AS row CREATE (n:Plain:PlainToo:Note) SET n = row"


def vectors_of(size: int, seed: int) -> Vector:
    """Random unit vectors, shape (size, DIMENSION)."""
    matrix = np.random.default_rng(seed).standard_normal((size, DIMENSION), dtype=np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix


def plain(server: OwnServer, rows: Iterator[tuple[Entry, Vector]]) -> float:
    """Seconds that bare transactions of these rows take."""
    seconds = 0.0
    with (
        neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver,
        driver.session() as session,
    ):
        while batch := [
            revision_properties(*row, space=0, since=0, until=1) for row in islice(rows, BATCH)
        ]:
            start = time.perf_counter()
            session.execute_write(_write, batch)
            seconds += time.perf_counter() - start
    return seconds


def _write(transaction: neo4j.ManagedTransaction, rows: list[Properties]) -> None:
    transaction.run(_PLAIN, rows=rows).consume()


async def stored(
    server: OwnServer, name: str, entries: Sequence[Entry], matrix: Vector
) -> dict[str, float]:
    """Seconds of the store's load: its rows, and its indexes."""
    release = Release(
        name, release_checksum(entries), len(entries), "bench", "0" * 64, DIMENSION, "bench"
    )
    store = Neo4jStore.from_settings(server.settings())
    with structlog.testing.capture_logs() as logs:
        await store.load(release, zip(entries, matrix, strict=True))
    await store.close()
    (said,) = (line for line in logs if line["event"] == "knowledge_release_stored")
    return {"rows_s": said["rows_seconds"], "index_s": said["index_seconds"]}


def measure(size: int, folder: Path, *, heap: str, page_cache: str) -> dict[str, object]:
    """Measures one size on a server of its own."""
    pairs = compose(size, random.Random(size))  # noqa: S311 - a repeatable draw, no secret
    entries, matrix = list(entries_of(pairs)), vectors_of(size, seed=size)
    with own_server(folder / str(size), heap=heap, page_cache=page_cache) as server:
        few = min(size, WARM_UP)
        plain(server, iter(zip(entries[:few], matrix[:few], strict=True)))
        asyncio.run(stored(server, "warm-up", entries[:few], matrix[:few]))
        rows = iter(zip(entries, matrix, strict=True))
        plain_s = plain(server, islice(rows, size // 2))
        times = asyncio.run(stored(server, "measured", entries, matrix))
        plain_s += plain(server, rows)
    rows_s, index_s = times["rows_s"], times["index_s"]
    bytes_on_disk = sum(
        file.stat().st_size for file in (server.home / "data").rglob("*") if file.is_file()
    )
    return {
        "entries": size,
        "rows_per_s": round(size / rows_s),
        "plain_per_s": round(size / plain_s),
        "ratio": round(plain_s / rows_s, 3),
        "rows_s": round(rows_s, 2),
        "index_s": round(index_s, 2),
        "per_s_with_indexes": round(size / (rows_s + index_s)),
        "disk_mib_of_all_copies": round(bytes_on_disk / (1 << 20)),
    }


def show(results: list[dict[str, object]]) -> None:
    """Prints the table."""
    table = Table(title="Loading into Neo4j")
    for heading in results[0]:
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(*map(str, result.values()))
    Console(width=140).print(table)


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python -m bench.load --sizes 10000 100000 1000000 --heap 4g",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--heap", default="2g", help="of the server")
    parser.add_argument("--page-cache", default="1g", help="of the server")
    parser.add_argument("--name", default="load", help="of the result file")
    args = parser.parse_args()
    manifest = record.manifest(vars(args), ["neo4j", "neo4j-rust-ext", "numpy"])
    results: list[dict[str, object]] = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(size, Path(folder), heap=args.heap, page_cache=args.page_cache)
        per_entry = 1 / float(str(result["per_s_with_indexes"]))
        result["growth"] = round(
            per_entry * float(str((results or [result])[0]["per_s_with_indexes"])), 2
        )
        results.append(result)
    show(results)
    goals = {"rows_per_s": GOAL_PER_S, "ratio": GOAL_RATIO, "growth": GOAL_GROWTH}
    written = record.write(args.name, {"manifest": manifest, "goals": goals, "results": results})
    print(f"written to {written}")


if __name__ == "__main__":
    main()
