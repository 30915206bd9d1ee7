"""The judge: what the writers said, against what the store holds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from services.common.errors import KnowledgeUnavailableError
from services.knowledge.checksums import entry_checksum, release_checksum
from services.knowledge.protocol import KnowledgeQuery, KnowledgeStore
from tests.kill.releases import EMBEDDER, release_of


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
