"""Kills a writer, or the database server, at random moments, and looks for what was lost.

    python -m tests.kill --rounds 100                        # the embedded store
    python -m tests.kill --rounds 60 --store neo4j           # the writer, on a Neo4j server
    python -m tests.kill --rounds 40 --store neo4j --victim server

Each round a writer process loads releases, edits entries, derives releases, activates and
rolls back, and says before and after each step what it does. It, or the server, is killed
with SIGKILL at a random moment. Then everything is checked:

- every step that was said to be done is there, byte for byte;
- a step that was begun is there in full or not at all;
- every visible release has all its entries, with the right checksum;
- the active release is the one activated last (or begun to be);
- a reader that searched all the while never saw less than a whole release.

CI runs a few rounds of each (tests/integration/test_kills.py).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import track

from services.common import logs
from services.common.errors import KnowledgeUnavailableError, NesycdError
from services.common.records import Authorship, Entry, EntryStatus, Note
from services.common.settings import Settings, load_settings
from services.knowledge.checksums import entry_checksum, etag, release_checksum
from services.knowledge.editing import Editor
from services.knowledge.factory import open_store
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery, KnowledgeStore, Release
from tests.neo4j_server import distribution, running_server

EMBEDDER = HashEmbedder(16)
ENTRIES = 300
"""Per loaded release: enough for several transactions."""

FIRST = "first"
"""The release that is active before the first round."""

AUTHOR = Authorship("killer")


def entries_of(name: str) -> list[Entry]:
    """The entries of a loaded release; the ids are shared by all releases."""
    return [
        Entry(f"n{n:04}", 1, "", f"{name} question {n}", Note((name,), ()), f"s{n}", "kill")
        for n in range(ENTRIES)
    ]


def release_of(name: str) -> Release:
    """The release that a dump of that name becomes."""
    entries = entries_of(name)
    return Release(
        name=name,
        checksum=release_checksum(entries),
        entries=len(entries),
        embedding_model=EMBEDDER.model_id,
        embedding_checksum=EMBEDDER.checksum,
        dimension=EMBEDDER.dimension,
        provenance="kill",
    )


# The writer: a process of its own.


async def write(seed: int) -> None:
    """Takes random steps until it is killed. The store is that of the environment."""
    random_steps = random.Random(seed)  # noqa: S311 - which step comes next
    store = open_store(load_settings())
    editor = Editor(store, EMBEDDER)
    number = 0
    while True:
        number += 1
        name = f"r{seed}-{number}"
        choice = random_steps.choices(
            ["load", "edit", "derive", "activate", "back"], [2, 8, 1, 2, 1]
        )[0]
        try:
            if choice == "load":
                await _step("load", name, _load(store, name))
            elif choice == "edit":
                await _edit(editor, random_steps, name)
            elif choice == "derive":
                await _step("derive", name, editor.create_release(name, AUTHOR))
            elif choice == "activate":
                chosen = random_steps.choice(await store.releases()).name
                await _step("activate", chosen, store.activate(chosen, AUTHOR))
            else:
                await _step("back", "", store.roll_back(AUTHOR))
        except KnowledgeUnavailableError:
            await asyncio.sleep(0.2)  # the server is the victim
        except NesycdError:
            continue  # nothing to roll back to, or nothing to derive


async def _load(store: KnowledgeStore, name: str) -> None:
    entries = entries_of(name)
    vectors = EMBEDDER.embed([entry.question for entry in entries])
    await store.load(release_of(name), zip(entries, vectors, strict=True))


async def _edit(editor: Editor, random_steps: random.Random, name: str) -> None:
    entry_id = f"n{random_steps.randrange(ENTRIES):04}"
    now = await editor.get(entry_id)
    if now.status is EntryStatus.DRAFT:
        verdict = random_steps.choice([EntryStatus.ACCEPTED, EntryStatus.REJECTED])
        await _step("review", entry_id, editor.review(entry_id, etag(now), verdict, AUTHOR))
        return
    entry = now.entry
    changed = Entry(
        entry.id, entry.revision, entry.task, f"edited in {name}", entry.body, "", "kill"
    )
    await _step("update", entry_id, editor.update(changed, etag(now), AUTHOR))


async def _step(what: str, name: str, work: object) -> None:
    _say({"begin": what, "name": name})
    try:
        result = await work  # type: ignore[misc]
    except KnowledgeUnavailableError:
        raise  # may have happened or not: stays begun
    except NesycdError:
        _say({"refused": what, "name": name})
        raise
    done = {"done": what, "name": name}
    if what in {"update", "review"}:
        done |= {
            "revision": result.entry.revision,
            "checksum": entry_checksum(result.entry),
            "status": result.status.value,
        }
    if what in {"derive", "back"}:
        done |= {"release": result.name, "checksum": result.checksum}
    _say(done)


def _say(step: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(step) + "\n")
    sys.stdout.flush()


# The judge.


@dataclass
class Said:
    """What the writers said over all rounds."""

    releases: dict[str, str] = field(default_factory=dict)
    """Done loads and derivations: name to checksum."""
    edits: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    """Done edits: per entry and revision its checksum and status."""
    fresh: set[str] = field(default_factory=set)
    """Entries edited since the last check."""
    possibly_active: set[str | None] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    """Releases found right at least once."""
    steps: int = 0

    def hear(self, step: dict[str, object]) -> None:
        """Takes in one line of the writer."""
        name = str(step["name"])
        if step.get("begin") == "activate":
            self.possibly_active.add(name)
        if step.get("begin") == "back":
            self.possibly_active.add("*")  # any release that was active before
        if step.get("refused"):
            self.possibly_active.discard("*")
        if not step.get("done"):
            return
        self.steps += 1
        if step["done"] == "load":
            self.releases[name] = release_of(name).checksum
        elif step["done"] == "derive":
            self.releases[name] = str(step["checksum"])
        elif step["done"] == "activate":
            self.possibly_active = {name}
        elif step["done"] == "back":
            self.possibly_active = {str(step["release"])}
        else:
            of_entry = self.edits.setdefault(name, {})
            of_entry[int(str(step["revision"]))] = (str(step["checksum"]), str(step["status"]))
            self.fresh.add(name)


async def check(store: KnowledgeStore, said: Said) -> None:
    """Raises AssertionError naming what was lost or half there.

    New releases and newly edited entries are read, and a few of the older ones each time.
    """
    releases = {release.name: release for release in await store.releases()}
    for name, checksum in said.releases.items():
        assert name in releases, f"release {name} is lost"
        assert releases[name].checksum == checksum, f"release {name} is another"
    new = [name for name in releases if name not in said.read]
    older = random.Random(len(releases)).sample(sorted(said.read), min(10, len(said.read)))  # noqa: S311
    said.read.update(new)
    for name in (*new, *older):
        # Of the releases whose step was only begun, too: there in full.
        release = releases[name]
        entries = [entry async for entry, _ in store.entries(name)]
        assert len(entries) == release.entries, f"release {name}: {len(entries)} entries"
        assert release_checksum(entries) == release.checksum, f"release {name}: other entries"
    active = await store.active_release()
    named = active.name if active else None
    assert named in said.possibly_active or "*" in said.possibly_active, (
        f"active is {named}, expected one of {said.possibly_active}"
    )
    said.possibly_active = {named}
    edited = sorted(said.edits)
    for entry_id in {*said.fresh, *random.Random(len(edited)).sample(edited, min(5, len(edited)))}:  # noqa: S311
        history = {
            one.entry.revision: (entry_checksum(one.entry), one.status.value)
            for one in await store.history(entry_id)
        }
        for revision, said_of_it in said.edits[entry_id].items():
            found = history.get(revision)
            assert found == said_of_it, f"edit {entry_id} r{revision}: {found}"
    said.fresh.clear()


async def search_on(store: KnowledgeStore, ended: asyncio.Event) -> int:
    """Searches until told to end. Returns how many searches saw a whole release."""
    (vector,) = EMBEDDER.embed(["question"])
    count = 0
    while not ended.is_set():
        try:
            async with asyncio.timeout(20):
                lookup = await store.search(KnowledgeQuery("question 7", k=20), vector)
        except (KnowledgeUnavailableError, TimeoutError):
            await asyncio.sleep(0.1)  # the server is down
            continue
        if lookup.release is not None:
            assert len(lookup.found) == 20, f"{len(lookup.found)} of 20 in {lookup.release.name}"
            count += 1
        await asyncio.sleep(0.02)
    return count


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[KnowledgeStore]:
    """A store, closed at the end."""
    store = open_store(settings)
    try:
        yield store
    finally:
        await store.close()


async def run_round(
    settings: Settings, said: Said, seed: int, *, alive_s: float, server: Server | None
) -> int:
    """One writer's life and death. Returns how many searches went on meanwhile."""
    command = [sys.executable, "-m", "tests.kill", "--write", str(seed)]
    ended = asyncio.Event()
    async with opened(settings) as reader:
        searches = asyncio.create_task(search_on(reader, ended))
        with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs while it starts
            command, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            # The clock runs from the first step: starting Python takes longer than most lives.
            said.hear(json.loads(await asyncio.to_thread(writer.stdout.readline)))
            await asyncio.sleep(alive_s)
            if server is not None:
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.3)
            writer.send_signal(signal.SIGKILL)
            for line in await asyncio.to_thread(writer.stdout.readlines):
                if line.endswith("\n"):
                    said.hear(json.loads(line))
        if server is not None:
            await asyncio.to_thread(server.start)
        ended.set()
        count = await searches
    async with opened(settings) as fresh:
        await check(fresh, said)
    return count


class Server:
    """The database server as a victim: killed with SIGKILL, started again."""

    def __init__(self, instance: object) -> None:
        self._instance = instance

    def kill(self) -> None:
        """Ends the server at once."""
        self._instance.kill()  # type: ignore[attr-defined]

    def start(self) -> None:
        """Starts it again and waits until it answers."""
        self._instance.start()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Outcome:
    """What came of all rounds: steps done by the writers, searches by the readers."""

    rounds: int
    steps: int
    edits: int
    releases: int
    searches: int


async def run(
    settings: Settings, rounds: int, *, longest_s: float, seed: int, server: Server | None = None
) -> Outcome:
    """Kills `rounds` times, each within `longest_s`. Raises AssertionError at the first loss."""
    said = Said(releases={FIRST: release_of(FIRST).checksum}, possibly_active={FIRST})
    async with opened(settings) as store:
        await _load(store, FIRST)
        await store.activate(FIRST, AUTHOR)
    moments = random.Random(seed)  # noqa: S311
    searches = 0
    for number in track(range(rounds), "killing", console=None, disable=not sys.stderr.isatty()):
        alive_s = moments.uniform(0.0, longest_s)
        searches += await run_round(
            settings, said, seed * 10_000 + number, alive_s=alive_s, server=server
        )
    return Outcome(
        rounds, said.steps, sum(map(len, said.edits.values())), len(said.releases), searches
    )


def environment(store: str, folder: Path, server: object | None) -> dict[str, str]:
    """The settings of the writer and the judge."""
    values = {
        "NESYCD_KNOWLEDGE__STORE": store,
        "NESYCD_KNOWLEDGE__PATH": str(folder / "knowledge.db"),
        "NESYCD_LOG_LEVEL": "error",
    }
    if server is not None:
        values |= {
            "NESYCD_KNOWLEDGE__NEO4J_URI": server.uri,  # type: ignore[attr-defined]
            "NESYCD_KNOWLEDGE__NEO4J_USER": server.user,  # type: ignore[attr-defined]
            "NESYCD_KNOWLEDGE__NEO4J_PASSWORD": server.password,  # type: ignore[attr-defined]
        }
    return values


def main() -> None:
    """Parses, kills, says what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--store", choices=["embedded", "neo4j"], default="embedded")
    parser.add_argument("--victim", choices=["writer", "server"], default="writer")
    parser.add_argument(
        "--longest", type=float, help="seconds a writer lives at most (2.5; with Neo4j 10)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of steps and moments")
    parser.add_argument("--write", type=int, metavar="SEED", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write is not None:
        logs.configure(load_settings())  # standard output is for the steps alone
        asyncio.run(write(arguments.write))
        return
    if arguments.store == "neo4j" and distribution() is None:
        parser.error("no Neo4j to kill: set NESYCD_TEST_NEO4J or NEO4J_HOME")
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(arguments.store, Path(folder)) as instance,
    ):
        os.environ.update(environment(arguments.store, Path(folder), instance))
        logs.configure(load_settings())
        outcome = asyncio.run(
            run(
                load_settings(),
                arguments.rounds,
                longest_s=arguments.longest or (10.0 if arguments.store == "neo4j" else 2.5),
                seed=arguments.seed,
                server=Server(instance) if arguments.victim == "server" else None,
            )
        )
    print(f"{outcome}: nothing lost, nothing half visible, {time.monotonic() - started:.0f} s")  # noqa: T201


def _server(store: str, folder: Path) -> AbstractContextManager[object]:
    if store == "embedded":
        return nullcontext()

    return running_server(folder)


if __name__ == "__main__":
    main()
