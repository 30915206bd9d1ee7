r"""Both knowledge stores side by side: how fast they find, how well, how soon changes are seen.

    python -m bench.stores --questions ../shared/data/bbh-train.jsonl.gz \
        --asked ../shared/data/bbh-test.jsonl.gz

Speed: the whole search of ten entries (legs, filters, fusion, row fetch; not the question's
embedding) at each size, the stores taking turns question by question. Precision: of real
questions with a task each, how often the first entry found is of the question's own task, for
each leg alone and for fusions. Visibility: from the call that activates a release, or the call
that begins an edit (update, review, derived release, activation), until another reader's
search sees it.

The Neo4j server is that of NEO4J_URI, with whatever settings it has, or a distribution named by
NESYCD_TEST_NEO4J or NEO4J_HOME (docs/development.md); without one only the embedded store is
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from bench import record
from bench.retrieval import compose, embed, entries_of, mixtures, percentiles, read
from services.common.records import Authorship, Entry, EntryStatus
from services.common.settings import KnowledgeSettings, Settings
from services.knowledge.checksums import etag, release_checksum
from services.knowledge.editing import Editor
from services.knowledge.embedder import open_embedder
from services.knowledge.factory import open_store
from services.knowledge.protocol import (
    Embedder,
    KnowledgeQuery,
    KnowledgeStore,
    Release,
    Vector,
)
from tests.neo4j_server import Server, running_server

AUTHOR = Authorship("bench")
ONE_SEGMENT = "internal.dbms.index.vector.population_ram_buffer_size=1024\n"
"""Has a server of our own build a vector index in one piece instead of one per 3,300 vectors, all
of which every search walks through. MiB; undocumented (docs/adr/0004-neo4j-spaces.md)."""
WEIGHTS = {"lexical": (1.0, 0.0), "vector": (0.0, 1.0), "equal": (0.5, 0.5), "default": (0.3, 0.7)}
"""Fusions compared: weights of the keyword and of the vector leg."""


def settings_in(folder: Path, server: Server | None) -> dict[str, Settings]:
    """Settings by store, apart from the environment's; the embedded store's file in `folder`."""
    embedded = KnowledgeSettings(store="embedded", path=folder / "knowledge.db")
    settings = {"embedded": Settings(knowledge=embedded)}
    if server is not None:
        settings["neo4j"] = server.settings(neo4j_timeout_s=600.0)
    return settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[KnowledgeStore]:
    """A store, closed at the end."""
    store = open_store(settings)
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def neo4j_server(folder: Path) -> Iterator[Server | None]:
    """A server of our own or the environment's; None where there is none."""
    try:
        with running_server(folder, heap="4g", page_cache="2g", more=ONE_SEGMENT) as server:
            yield server
    except pytest.skip.Exception as reason:  # as a test would be skipped
        print(f"only the embedded store: {reason}")
        yield None


async def load(
    store: KnowledgeStore, name: str, entries: Sequence[Entry], matrix: Vector, embedder: Embedder
) -> float:
    """Loads and activates. Returns seconds."""
    start = time.perf_counter()
    release = Release(
        name,
        release_checksum(entries),
        len(entries),
        embedder.model_id,
        embedder.checksum,
        matrix.shape[1],
        "bench",
    )
    await store.load(release, zip(entries, matrix, strict=True))
    await store.activate(name, AUTHOR)
    return time.perf_counter() - start


async def speed(
    stores: dict[str, KnowledgeStore],
    queries: Sequence[tuple[str, str]],
    vectors: Vector,
    rounds: int,
) -> dict[str, object]:
    """Milliseconds of a search, per store; every second question filters by task and source."""
    times: dict[str, list[float]] = {name: [] for name in stores}
    asked = [
        KnowledgeQuery(question, 10, task, exclude_source="s7")
        if number % 2
        else KnowledgeQuery(question, 10)
        for number, (task, question) in enumerate(queries)
    ]
    for store in stores.values():  # the first searches build an index or fill caches
        for query, vector in list(zip(asked, vectors, strict=True))[:40]:
            await store.search(query, vector)
    for _ in range(rounds):
        for query, vector in zip(asked, vectors, strict=True):
            for name, store in stores.items():
                start = time.perf_counter()
                lookup = await store.search(query, vector)
                times[name].append((time.perf_counter() - start) * 1e3)
                if len(lookup.found) != query.k:
                    raise AssertionError(f"{name} found {len(lookup.found)} of {query.k}")
    return {name: percentiles(values) | {"n": len(values)} for name, values in times.items()}


async def precision(
    settings: dict[str, Settings], asked: Sequence[tuple[str, str]], vectors: Vector
) -> dict[str, dict[str, float]]:
    """Same-task precision at 1, per store and weights."""
    shares: dict[str, dict[str, float]] = {}
    for name, of_store in settings.items():
        for legs, (lexical, vector_weight) in WEIGHTS.items():
            weights = {"lexical_weight": lexical, "vector_weight": vector_weight}
            weighed = of_store.model_copy(
                update={"knowledge": of_store.knowledge.model_copy(update=weights)}
            )
            async with opened(weighed) as store:
                right = 0
                for (task, question), vector in zip(asked, vectors, strict=True):
                    found = (await store.search(KnowledgeQuery(question), vector)).found
                    right += bool(found) and found[0].entry.task == task
            shares.setdefault(name, {})[legs] = round(right / len(asked), 4)
    return shares


async def visibility(
    settings: Settings, embedder: Embedder, name: str, rounds: int
) -> dict[str, object]:
    """Milliseconds until another reader sees an activation, and an edit; after one unmeasured."""
    (vector,) = embedder.embed(["a question"])
    activations, edits = [], []
    async with opened(settings) as writer, opened(settings) as reader:
        editor = Editor(writer, embedder)

        async def seen(wanted: str) -> None:
            while True:
                lookup = await reader.search(KnowledgeQuery("a question"), vector)
                if lookup.release is not None and lookup.release.name == wanted:
                    return
                await asyncio.sleep(0.002)

        for number in range(rounds + 1):
            start = time.perf_counter()
            now = await editor.get("n000007")
            changed = replace(now.entry, question=f"question after edit {number}")
            now = await editor.update(changed, etag(now), AUTHOR)
            await editor.review(changed.id, etag(now), EntryStatus.ACCEPTED, AUTHOR)
            await editor.create_release(f"edit-{number}", AUTHOR)
            await writer.activate(f"edit-{number}", AUTHOR)
            await seen(f"edit-{number}")
            edits.append((time.perf_counter() - start) * 1e3)
        names = (name, "edit-0")
        for number in range(rounds):
            start = time.perf_counter()
            await writer.activate(names[number % 2], AUTHOR)
            await seen(names[number % 2])
            activations.append((time.perf_counter() - start) * 1e3)
    return {
        "n": rounds,
        "activation": percentiles(activations),
        "edit_to_visibility": percentiles(edits[1:]),  # the first is planned and compiled
    }


async def measure(
    arguments: argparse.Namespace, folder: Path, server: Server | None
) -> dict[str, Any]:
    """All three parts."""
    embedder = open_embedder(Settings())
    rng = random.Random(arguments.seed)  # noqa: S311 - a repeatable draw
    result: dict[str, Any] = {}

    pairs = compose(max(arguments.sizes) + arguments.queries, rng)
    queries, pairs = pairs[: arguments.queries], pairs[arguments.queries :]
    query_vectors = embed(embedder, [question for _, question in queries])
    base = embed(embedder, [question for _, question in pairs[: arguments.embedded]])
    matrix = mixtures(base, max(arguments.sizes), np.random.default_rng(arguments.seed))
    for size in arguments.sizes:
        at = folder / str(size)
        at.mkdir()
        entries = list(entries_of(pairs[:size]))
        settings = settings_in(at, server)
        stores = {name: open_store(one) for name, one in settings.items()}
        cell: dict[str, object] = {}
        for name, store in stores.items():
            seconds = await load(store, f"bench-{size}", entries, matrix[:size], embedder)
            cell[f"{name}_load_and_index_s"] = round(seconds, 1)
        cell["search"] = await speed(stores, queries, query_vectors, arguments.rounds)
        for store in stores.values():
            await store.close()
        for name, one in settings.items():
            cell[f"{name}_visibility"] = await visibility(
                one, embedder, f"bench-{size}", arguments.changes
            )
        result[str(size)] = cell
        print(f"{size} entries: {cell}")
        if server is not None:
            server.empty()

    if arguments.questions and arguments.asked:
        at = folder / "real"
        at.mkdir()
        known = read(arguments.questions, arguments.known, rng)
        asked = read(arguments.asked, arguments.real, rng)
        vectors = embed(embedder, [question for _, question in known])
        settings = settings_in(at, server)
        for one in settings.values():
            async with opened(one) as store:
                await load(store, "real", list(entries_of(known)), vectors, embedder)
        asked_vectors = embed(embedder, [question for _, question in asked])
        result["same_task_precision_at_1"] = {
            "known": len(known),
            "n": len(asked),
            **await precision(settings, asked, asked_vectors),
        }
    return result


def show(result: dict[str, Any]) -> None:
    """Prints the tables."""
    table = Table(title="search, milliseconds p50 / p95 / p99")
    for heading in ("entries", "store", "search", "n", "activation seen", "edit seen"):
        table.add_column(heading)
    for size, cell in result.items():
        for name, times in cell.get("search", {}).items():
            seen = cell[f"{name}_visibility"]
            table.add_row(
                size,
                name,
                " / ".join(str(times[f"p{p}_ms"]) for p in (50, 95, 99)),
                str(times["n"]),
                *(
                    " / ".join(str(seen[what][f"p{p}_ms"]) for p in (50, 95, 99))
                    for what in ("activation", "edit_to_visibility")
                ),
            )
    Console(width=140).print(table)
    if found := result.get("same_task_precision_at_1"):
        print(f"same-task precision at 1: {found}")


def main() -> None:
    """Parses, measures, writes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=300, help="per size")
    parser.add_argument("--rounds", type=int, default=3, help="of all questions")
    parser.add_argument("--changes", type=int, default=20, help="activations, and edits, per size")
    parser.add_argument("--embedded", type=int, default=2_000, help="questions with real vectors")
    parser.add_argument("--questions", type=Path, help="what is known: JSON Lines (.gz)")
    parser.add_argument("--asked", type=Path, help="what is asked: JSON Lines (.gz)")
    parser.add_argument("--known", type=int, default=1_500)
    parser.add_argument("--real", type=int, default=500, help="questions asked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="stores", help="of the result file")
    arguments = parser.parse_args()
    given = vars(arguments) | {
        key: path.name if (path := getattr(arguments, key)) else None
        for key in ("questions", "asked")
    }
    manifest = record.manifest(given, ["numpy", "onnxruntime", "neo4j", "neo4j-rust-ext"])
    with tempfile.TemporaryDirectory() as folder, neo4j_server(Path(folder)) as server:
        result = asyncio.run(measure(arguments, Path(folder), server))
    print(f"written to {record.write(arguments.name, {'manifest': manifest} | result)}")
    show(result)


if __name__ == "__main__":
    main()
