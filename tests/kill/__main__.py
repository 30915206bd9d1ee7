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
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from services.common import logs
from services.common.settings import Settings, load_settings
from services.knowledge.factory import open_store
from services.knowledge.protocol import KnowledgeStore
from tests.kill.judge import Said, check, search_on
from tests.kill.releases import AUTHOR, FIRST, load, release_of
from tests.neo4j_server import OwnServer, distribution, own_server


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[KnowledgeStore]:
    """A store, closed at the end."""
    store = open_store(settings)
    try:
        yield store
    finally:
        await store.close()


async def run_round(
    settings: Settings, said: Said, seed: int, *, alive_s: float, server: OwnServer | None
) -> int:
    """One writer's life and death. Returns how many searches went on meanwhile."""
    command = [sys.executable, "-m", "tests.kill.writer", str(seed)]
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


@dataclass(frozen=True)
class Outcome:
    """What came of all rounds: steps done by the writers, searches by the readers."""

    rounds: int
    steps: int
    edits: int
    releases: int
    searches: int


async def run(
    settings: Settings, rounds: int, *, longest_s: float, seed: int, server: OwnServer | None = None
) -> Outcome:
    """Kills `rounds` times, each within `longest_s`. Raises AssertionError at the first loss."""
    said = Said(releases={FIRST: release_of(FIRST).checksum}, possibly_active={FIRST})
    async with opened(settings) as store:
        await load(store, FIRST)
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


def environment(folder: Path, server: OwnServer | None) -> dict[str, str]:
    """The settings of the writer and the judge."""
    embedded = {
        "NESYCD_KNOWLEDGE__STORE": "embedded",
        "NESYCD_KNOWLEDGE__PATH": str(folder / "knowledge.db"),
    }
    return {"NESYCD_LOG_LEVEL": "error"} | (server.environment() if server else embedded)


def main() -> None:
    """Parses, kills, says what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.kill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--store", choices=["embedded", "neo4j"], default="embedded")
    parser.add_argument("--victim", choices=["writer", "server"], default="writer")
    parser.add_argument(
        "--longest", type=float, help="seconds a writer lives at most (2.5; with Neo4j 10)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of steps and moments")
    arguments = parser.parse_args()
    if arguments.store == "embedded" and arguments.victim == "server":
        parser.error("the embedded store has no server to kill")
    if arguments.store == "neo4j" and distribution() is None:
        parser.error("no Neo4j to kill: set NESYCD_TEST_NEO4J or NEO4J_HOME")
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(arguments.store, Path(folder)) as server,
    ):
        os.environ.update(environment(Path(folder), server))
        logs.configure(load_settings())
        outcome = asyncio.run(
            run(
                load_settings(),
                arguments.rounds,
                longest_s=arguments.longest or (10.0 if arguments.store == "neo4j" else 2.5),
                seed=arguments.seed,
                server=server if arguments.victim == "server" else None,
            )
        )
    print(f"{outcome}: nothing lost, nothing half visible, {time.monotonic() - started:.0f} s")  # noqa: T201


def _server(store: str, folder: Path) -> AbstractContextManager[OwnServer | None]:
    return own_server(folder) if store == "neo4j" else nullcontext()


if __name__ == "__main__":
    main()
