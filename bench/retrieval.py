"""How fast the embedded store finds, what its shortcuts miss, and what other engines would take.

First the whole search (both legs, filters, fusion, row fetch; not the question's embedding)
against its limit of 10 ms at the 99th percentile, one search after another; `fused_cpu` is its
processor time, what it would take on a machine with nothing else to do. Then, query by query in
turn so that ratios hold on a busy machine: the keyword leg with SQLite FTS5 and tantivy (where
installed), and the vector leg with a full comparison.

Questions are composed from templates, or read with --questions. The first --embedded of
them get real vectors; the rest get mixtures of two of those (weights .8 and .6, scaled to
length 1), which keep the encoder's spectrum: 100,000 real ones would take an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import record
from services.common.records import Authorship, Entry, Note
from services.common.settings import Settings
from services.knowledge.checksums import release_checksum
from services.knowledge.embedded.keyword_index import TERM_LIMIT, KeywordIndex, Tokens
from services.knowledge.embedded.release_index import ReleaseIndex
from services.knowledge.embedded.schema import connect
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.embedded.vector_index import VectorIndex
from services.knowledge.embedder import OnnxEmbedder, open_embedder
from services.knowledge.protocol import KnowledgeQuery, Release, Vector
from services.knowledge.ranking import LEG_DEPTH, top
from services.knowledge.terms import terms

LIMIT_MS = 10.0
FTS5_EVERY = 10  # half a second a query at 100,000 entries
ROUNDS = 3

_WHO = """
    Amira Bashir Chen Dana Elif Femi Greta Hiro Ines Jamal Kofi Liv Mateo Noor Olga
""".split()  # noqa: SIM905
_WHAT = """
    apples books bottles bricks buckets candles chairs cookies crates eggs envelopes flowers
    glasses hats jars keys kites lamps marbles muffins nails oranges pencils photos plates
    postcards ribbons shells shirts stamps tickets tiles toys trees wheels
""".split()  # noqa: SIM905
_WHERE = """
    shop school farm library museum station bakery garage harbour office orchard warehouse
    hospital stadium theatre village workshop kitchen
""".split()  # noqa: SIM905
_TEMPLATES = {
    "arithmetic": "{a} buys {n} {x} at the {p} and gives {m} of them to {b}. Later {a} finds {k} "
    "more {x} and {l} {y}. How many {x} does {a} have now?",
    "rates": "A machine at the {p} packs {n} {x} in {m} minutes. {a} stops it after {k} minutes. "
    "At this rate, how many {x} are packed, and how many {y} fit if {l} stand in a box?",
    "ordering": "On a shelf in the {p} there are {x}, {y} and {z}. The {x} are left of the {y}. "
    "The {z} are {n} places right of the {x}. {a} says the {y} come last. Which come first? "
    "Options: (A) the {x} (B) the {y} (C) the {z}",
    "tracking": "{a}, {b} and {c} play a game at the {p}. At the start {a} holds {n} {x}, {b} "
    "holds {m} {y} and {c} holds {k} {z}. Then {a} and {b} swap, and {b} and {c} swap. What "
    "does {b} hold at the end? Options: (A) {x} (B) {y} (C) {z}",
    "ages": "{a} is {n} years old and {b} is {m} years older. In {k} years {c}, who works at the "
    "{p}, will be as old as both together. How old is {c}?",
    "shares": "At the {p}, {n} {x} are shared among {a}, {b} and {c} in the ratio {m} to {k} to "
    "{l}. {b} trades all of them for {y}. How many more {x} than {y} are there?",
    "validity": "All {x} at the {p} are {y}. No {y} belonging to {a} is one of the {z}. Therefore "
    "none of the {n} {x} of {b} is one of the {z}. Is the argument valid or invalid?",
    "dates": "{a} visited the {p} on the {m}th, {n} days before {b} returned the {x}. The {y} came "
    "{k} days later. Which day of the month was {l} days after {c} left?",
}


def compose(n: int, rng: random.Random) -> list[tuple[str, str]]:
    """Composes n (task, question) pairs."""
    tasks = sorted(_TEMPLATES)
    pairs = []
    for _ in range(n):
        task = rng.choice(tasks)
        (a, b, c), (x, y, z) = rng.sample(_WHO, 3), rng.sample(_WHAT, 3)
        numbers = {name: rng.randint(2, 999) for name in "nmkl"}
        names = {"a": a, "b": b, "c": c, "x": x, "y": y, "z": z, "p": rng.choice(_WHERE)}
        pairs.append((task, _TEMPLATES[task].format(**names, **numbers)))
    return pairs


def read(path: Path, n: int, rng: random.Random) -> list[tuple[str, str]]:
    """Reads (task, question) pairs; where there are too few, sentences of two are joined."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        pairs = [(row["task"] or "", row["question"]) for row in map(json.loads, file)]
    rng.shuffle(pairs)
    have = len(pairs)
    while len(pairs) < n:
        (task, first), (_, second) = pairs[rng.randrange(have)], pairs[rng.randrange(have)]
        pairs.append((task, first[: len(first) // 2] + second[len(second) // 2 :]))
    return pairs[:n]


def embed(embedder: OnnxEmbedder, texts: list[str]) -> Vector:
    """Embeds with a progress bar."""
    chunks = [texts[start : start + 64] for start in range(0, len(texts), 64)]
    shown = track(chunks, description="Embedding", console=Console(stderr=True), transient=True)
    return np.concatenate([embedder.embed(chunk) for chunk in shown])


def mixtures(base: Vector, n: int, rng: np.random.Generator) -> Vector:
    """The base vectors and mixtures of two of them, shape (n, dimension)."""
    first, second = rng.integers(0, len(base), (2, max(0, n - len(base))))
    mixed = 0.8 * base[first] + 0.6 * base[second]
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    matrix: Vector = np.concatenate([base, mixed])[:n].astype(np.float32)
    return matrix


def fts5(questions: list[str]) -> Callable[[list[str]], object]:
    """SQLite FTS5 in memory; takes a query's terms."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE notes USING fts5 (question, detail = none)")
    db.executemany("INSERT INTO notes VALUES (?)", ((question,) for question in questions))
    db.execute("INSERT INTO notes (notes) VALUES ('optimize')")
    statement = "SELECT rowid FROM notes WHERE notes MATCH ? ORDER BY rank LIMIT ?"
    return lambda words: db.execute(
        statement, (" OR ".join(f'"{word}"' for word in words), LEG_DEPTH)
    ).fetchall()


def tantivy_index(questions: list[str]) -> Callable[[list[str]], object]:
    """Tantivy in memory, one segment; takes a query's terms."""
    import tantivy  # noqa: PLC0415

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("question", tokenizer_name="whitespace", index_option="freq")
    index = tantivy.Index(builder.build())
    writer = index.writer(64_000_000, 1)
    for question in questions:
        writer.add_document(tantivy.Document(question=" ".join(terms(question))))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher, should = index.searcher(), tantivy.Occur.Should

    def search(words: list[str]) -> object:
        parts = [
            (should, tantivy.Query.term_query(index.schema, "question", word)) for word in words
        ]
        return searcher.search(tantivy.Query.boolean_query(parts), LEG_DEPTH, count=False).hits

    return search


def best_keywords(index: KeywordIndex, question: str) -> object:
    """The product's keyword leg."""
    scores = index.scores(question)
    return top(scores, LEG_DEPTH, among=scores > 0)


def resident_bytes() -> int:
    """Memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def timed(work: Callable[[], object], into: list[float]) -> object:
    """Runs the work and notes its milliseconds."""
    start = time.perf_counter()
    result = work()
    into.append((time.perf_counter() - start) * 1e3)
    return result


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """p50, p95 and p99, in milliseconds."""
    values = np.percentile(milliseconds, [50, 95, 99])
    return {f"p{p}_ms": round(float(v), 3) for p, v in zip((50, 95, 99), values, strict=True)}


def recall(found: list[list[object]], expected: list[list[object]]) -> float:
    """Mean share of the expected that was found."""
    shares = [len(set(f) & set(e)) / len(e) for f, e in zip(found, expected, strict=True) if e]
    return round(float(np.mean(shares)), 4)


def entries_of(pairs: list[tuple[str, str]]) -> Iterator[Entry]:
    """Notes of realistic length for the questions."""
    body = Note(
        ("Write down what is known and what is asked.", "Watch the units and the order of steps."),
        ("rate = amount / time.", "Swapping twice restores the start.", "1 hour = 60 minutes."),
    )
    for n, (task, question) in enumerate(pairs):
        yield Entry(f"n{n:06}", 1, task, question, body, f"s{n}", "bench")


async def measure(
    pairs: list[tuple[str, str]],
    matrix: Vector,
    queries: list[tuple[str, str]],
    query_vectors: Vector,
    folder: Path,
) -> dict[str, object]:
    """Measures one size."""
    size = len(pairs)
    questions = [question for _, question in pairs]
    release = Release(
        "bench", release_checksum(entries_of(pairs)), size, "bench", "0" * 64, matrix.shape[1], ""
    )
    path = folder / f"{size}.db"
    store = EmbeddedStore(path)
    start = time.perf_counter()
    await store.load(release, zip(entries_of(pairs), matrix, strict=True))
    load_s = time.perf_counter() - start
    await store.activate("bench", Authorship("bench"))
    before, start = resident_bytes(), time.perf_counter()
    store.refresh()
    refresh_s, memory = time.perf_counter() - start, resident_bytes() - before

    times: dict[str, list[float]] = {}
    found: dict[str, list[list[object]]] = {"vector": [], "exact": [], "fused": [], "full": []}
    asked = [
        # Every second query filters, as training and per-task callers do.
        KnowledgeQuery(question, 10, task, exclude_source="s7")
        if n % 2
        else KnowledgeQuery(question, 10)
        for n, (task, question) in enumerate(queries)
    ]
    for _ in range(ROUNDS):
        for query, vector in zip(asked, query_vectors, strict=True):
            start, cpu = time.perf_counter(), time.process_time()
            lookup = await store.search(query, vector)
            times.setdefault("fused", []).append((time.perf_counter() - start) * 1e3)
            times.setdefault("fused_cpu", []).append((time.process_time() - cpu) * 1e3)
            found["fused"].append([hit.entry.id for hit in lookup.found])
    del found["fused"][len(asked) :]

    keywords, vectors = KeywordIndex(Tokens.of(questions)), VectorIndex(matrix)
    exact = VectorIndex(matrix, project_from=size + 1)
    db = connect(path)
    key = db.execute("SELECT key FROM releases").fetchone()[0]
    full = ReleaseIndex.read(db, key, release, {"lexical": 0.3, "vector": 0.7})
    full._vectors = exact  # noqa: SLF001 - what the shortcut may miss
    engines: dict[str, Callable[[list[str]], object]] = {"fts5": fts5(questions)}
    try:
        engines["tantivy"] = tantivy_index(questions)
    except ImportError:
        print("tantivy is not installed: left out")

    shown = track(
        list(zip(asked, query_vectors, strict=True)),
        description=f"Searching {size}",
        console=Console(stderr=True),
        transient=True,
    )
    for n, (query, vector) in enumerate(shown):
        expected, _ = full.search(query, vector)
        found["full"].append([hit.entry.id for hit in expected])
        words = sorted(set(terms(query.question)))[:TERM_LIMIT]
        timed(
            lambda q=query.question: best_keywords(keywords, q),  # type: ignore[misc]
            times.setdefault("keyword", []),
        )
        for name, engine in engines.items():
            if name == "fts5" and n % FTS5_EVERY:
                continue
            timed(lambda e=engine, w=words: e(w), times.setdefault(name, []))  # type: ignore[misc]
        for name, index in (("vector", vectors), ("exact", exact)):
            nearest = timed(
                lambda i=index, v=vector: i.nearest(v, LEG_DEPTH).tolist(),  # type: ignore[misc]
                times.setdefault(name, []),
            )
            found[name].append(nearest[:10])  # type: ignore[index]
    await store.close()
    full.close()
    result: dict[str, object] = {name: percentiles(values) for name, values in times.items()}
    return {
        "entries": size,
        "queries": len(queries),
        "rounds_fused": ROUNDS,
        **result,
        "vector_recall_at_10": recall(found["vector"], found["exact"]),
        "fused_recall_at_10": recall(found["fused"], found["full"]),
        "load_s": round(load_s, 2),
        "index_build_s": round(refresh_s, 2),
        "resident_mib": round(memory / (1 << 20), 1),
        "file_mib": round(path.stat().st_size / (1 << 20), 1),
    }


def show(results: list[dict[str, object]]) -> None:
    """Prints the table."""
    table = Table(title="Milliseconds p50 / p95 / p99; recall at 10 against full comparison")
    rows: dict[str, list[str]] = {}
    for result in results:
        for name, value in result.items():
            cell = " / ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
            rows.setdefault(name, []).append(cell)
    for heading in ("", *rows.pop("entries")):
        table.add_column(heading, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    Console(width=120).print(table)


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python -m bench.retrieval --sizes 1000 10000 --queries 200",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--queries", type=int, default=300, help="per size")
    parser.add_argument("--embedded", type=int, default=4_000, help="questions with real vectors")
    parser.add_argument("--questions", type=Path, help="JSON Lines (.gz) with task and question")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="retrieval", help="of the result file")
    args = parser.parse_args()
    embedder = open_embedder(Settings())
    given = vars(args) | {"questions": args.questions.name if args.questions else "templates"}
    manifest = record.manifest(given, ["numpy", "onnxruntime", "tokenizers", "tantivy"])
    manifest["sqlite"] = sqlite3.sqlite_version
    manifest["embedding"] = {"model": embedder.model_id, "checksum": embedder.checksum}
    rng = random.Random(args.seed)  # noqa: S311 - a repeatable draw, no secret
    wanted = max(args.sizes) + args.queries
    pairs = read(args.questions, wanted, rng) if args.questions else compose(wanted, rng)
    queries, pairs = pairs[: args.queries], pairs[args.queries :]
    query_vectors = embed(embedder, [question for _, question in queries])
    base = embed(embedder, [question for _, question in pairs[: args.embedded]])
    matrix = mixtures(base, max(args.sizes), np.random.default_rng(args.seed))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            measured = measure(pairs[:size], matrix[:size], queries, query_vectors, Path(folder))
            results.append(asyncio.run(measured))
    show(results)
    written = record.write(
        args.name, {"manifest": manifest, "limit_p99_ms": LIMIT_MS, "results": results}
    )
    print(f"written to {written}")


if __name__ == "__main__":
    main()
