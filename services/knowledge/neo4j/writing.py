"""Rows of a release as statements: revisions, their concepts, the facts between them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.common.errors import ConfigurationError
from services.common.records import Entry, EntryKind, Fact
from services.knowledge.concepts import concept_key
from services.knowledge.graph import about
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Transaction
from services.knowledge.neo4j.rows import Properties, revision_properties, stored_key
from services.knowledge.protocol import Release, Vector

BATCH = 1000
"""Rows of one transaction."""

BATCH_S = 2.0
"""Time after which a batch is written though it is not full: embedding may be slow."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one space, ready to be written in one transaction.

    Attributes:
        space: where they belong.
        since: number of the release that brings them.
        revisions: their nodes' properties, by kind.
        links: which revision is about which concept.
        facts: edges between concepts.
        count: how many rows.
        last_id: of the last row.
    """

    space: int
    since: int
    revisions: dict[EntryKind, list[Properties]]
    links: list[Properties]
    facts: list[Properties]
    count: int
    last_id: str

    @property
    def is_linked(self) -> bool:
        """Whether the graph's hop can reach one of them."""
        return any(link["indexed"] for link in self.links)

    async def write(self, transaction: Transaction) -> None:
        """Writes them."""
        place: Properties = {"space": self.space, "since": self.since}
        for kind, rows in self.revisions.items():
            await transaction.run(queries.create_revisions(self.space, kind), rows=rows)
        if self.links:
            await transaction.run(queries.LINK_CONCEPTS, links=self.links, **place)
        if self.facts:
            await transaction.run(
                queries.DRAW_FACTS, facts=self.facts, until=queries.FOREVER, **place
            )


def batch_of(rows: Sequence[tuple[Entry, Vector]], *, space: int, since: int) -> Batch:
    """The rows, made ready."""
    place = {"space": space, "since": since, "until": queries.FOREVER}
    revisions: dict[EntryKind, list[Properties]] = {}
    links: list[Properties] = []
    facts: list[Properties] = []
    for entry, vector in rows:
        of_kind = revisions.setdefault(entry.kind, [])
        of_kind.append(revision_properties(entry, vector, **place))
        links += _links(entry, space)
        if isinstance(entry.body, Fact):
            facts += _edges(entry.id, entry.body)
    last_id = rows[-1][0].id if rows else ""
    return Batch(space, since, revisions, links, facts, len(rows), last_id)


def _links(entry: Entry, space: int) -> Iterator[Properties]:
    for key in sorted(map(stored_key, about(entry))):
        indexed = {"space": space, "key": key, "entry_id": entry.id}
        yield {
            "entry_id": entry.id,
            "key": key,
            "indexed": {} if entry.kind is EntryKind.NOTE else indexed,
        }


def _edges(entry_id: str, fact: Fact) -> Iterator[Properties]:
    subject, object_ = concept_key(fact.subject), concept_key(fact.object)
    if subject and object_:
        yield {
            "entry_id": entry_id,
            "subject": stored_key(subject),
            "relation": fact.relation,
            "object": stored_key(object_),
        }


def check_vector(release: Release, entry: Entry, vector: Vector) -> None:
    """Refuses a vector that is not the release's encoder's."""
    if vector.shape != (release.dimension,):
        raise ConfigurationError(
            f"entry {entry.id!r} of release {release.name!r} has a vector of shape "
            f"{vector.shape}, expected ({release.dimension},)."
        )


class Feed:
    """Takes the rows of a release as they are wanted, and refuses those that do not fit it.

    Args:
        release: what they are of.
        rows: in order.
        last_id: id of the row before the first of them; "" if there is none.
    """

    def __init__(
        self, release: Release, rows: Iterable[tuple[Entry, Vector]], *, last_id: str
    ) -> None:
        self._release = release
        self._rows = iter(rows)
        self._last_id = last_id
        self._is_stopped = False

    def skip(self, count: int) -> int:
        """Passes over that many rows; returns how many there were."""
        return sum(1 for _ in zip(range(count), self._checked(), strict=False))

    def take(self, *, space: int) -> Batch:
        """The next rows; none at the end."""
        rows = []
        end = time.monotonic() + BATCH_S
        for row in self._checked():
            rows.append(row)
            if len(rows) == BATCH or time.monotonic() > end:
                break
        return batch_of(rows, space=space, since=0)

    def stop(self) -> None:
        """Ends it soon, whatever thread it runs in."""
        self._is_stopped = True

    def _checked(self) -> Iterator[tuple[Entry, Vector]]:
        name = self._release.name
        for entry, vector in self._rows:
            if self._is_stopped:
                return
            check_vector(self._release, entry, vector)
            if entry.id == self._last_id:
                raise ConfigurationError(f"release {name!r} holds entry {entry.id!r} twice.")
            if entry.id < self._last_id:
                raise ConfigurationError(
                    f"release {name!r} brings entry {entry.id!r} after {self._last_id!r}, "
                    f"not by id."
                )
            self._last_id = entry.id
            yield entry, vector
