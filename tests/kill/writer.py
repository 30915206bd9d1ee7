"""The writer, a process of its own: `python -m tests.kill.writer SEED`.

Its standard output is for the steps alone, a JSON object a line: `begin`, then `done` or
`refused`, or neither where a step may have happened or not.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Mapping

from services.common import logs
from services.common.errors import KnowledgeUnavailableError, NesycdError
from services.common.records import Entry, EntryStatus, Revision
from services.common.settings import load_settings
from services.knowledge.checksums import entry_checksum, etag
from services.knowledge.editing import Editor
from services.knowledge.factory import open_store
from services.knowledge.protocol import Release
from tests.kill.releases import AUTHOR, EMBEDDER, ENTRIES, load


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
                await _step("load", name, load(store, name))
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


async def _step(what: str, name: str, work: Awaitable[Revision | Release | None]) -> None:
    _say({"begin": what, "name": name})
    try:
        result = await work
    except KnowledgeUnavailableError:
        raise  # may have happened or not: stays begun
    except NesycdError:
        _say({"refused": what, "name": name})
        raise
    _say({"done": what, "name": name, **_outcome(result)})


def _outcome(result: Revision | Release | None) -> dict[str, object]:
    if isinstance(result, Revision):
        return {
            "revision": result.entry.revision,
            "checksum": entry_checksum(result.entry),
            "status": result.status.value,
        }
    if isinstance(result, Release):
        return {"release": result.name, "checksum": result.checksum}
    return {}


def _say(step: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(step) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logs.configure(load_settings())
    asyncio.run(write(int(sys.argv[1])))
