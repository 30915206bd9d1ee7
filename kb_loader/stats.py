"""What a store holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from services.knowledge.protocol import EntryFilter, KnowledgeStore, Release, Uses
from services.knowledge.releasing import preview_release

MOST_USED = 10
_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Stats:
    """Numbers about a store and its active release.

    Attributes:
        releases: every complete release, oldest first.
        active: the one that searches see.
        kinds, tasks, provenances: entries of the active release with each value.
        statuses: entries of the store with each status, by their newest revision.
        waiting: entries of which the active release lacks the last accepted or retired edit.
        most_used: entries of the active release with their use counts, most retrieved first.
        never_used: ids of entries of the active release that were never retrieved.
    """

    releases: tuple[Release, ...]
    active: Release | None
    kinds: Mapping[str, int]
    tasks: Mapping[str, int]
    provenances: Mapping[str, int]
    statuses: Mapping[str, int]
    waiting: int
    most_used: tuple[tuple[str, Uses], ...]
    never_used: tuple[str, ...]


async def read_stats(store: KnowledgeStore) -> Stats:
    """Counts. Reads the whole active release once. Raises: KnowledgeUnavailableError."""
    active = await store.active_release()
    kinds: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    provenances: Counter[str] = Counter()
    ids: list[str] = []
    if active is not None:
        async for entry, _ in store.entries(active.name):
            kinds[entry.kind.value] += 1
            tasks[entry.task] += 1
            provenances[entry.provenance] += 1
            ids.append(entry.id)
    uses = await use_counts(store, ids)
    used = sorted(uses.items(), key=lambda item: (-item[1].retrieved, item[0]))
    waiting = (await preview_release(store)).changes if active else await store.edits()
    page = await store.find(EntryFilter(limit=1))
    return Stats(
        releases=await store.releases(),
        active=active,
        kinds=_sorted(kinds),
        tasks=_sorted(tasks),
        provenances=_sorted(provenances),
        statuses=_sorted(page.facets.get("status", {})),
        waiting=len(waiting),
        most_used=tuple(item for item in used[:MOST_USED] if item[1].retrieved),
        never_used=tuple(entry_id for entry_id in ids if not uses[entry_id].retrieved),
    )


async def use_counts(store: KnowledgeStore, entry_ids: Iterable[str]) -> dict[str, Uses]:
    """The use counts of any number of entries."""
    uses: dict[str, Uses] = {}
    for some in _batches(entry_ids):
        uses |= await store.use_counts(some)
    return uses


def _batches(entry_ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(entry_ids)
    while some := list(islice(rest, _TOGETHER)):
        yield some


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
