"""What the reasoner needs of a knowledge base, and what a knowledge base needs of a store.

A store keeps two things. **Releases** are immutable: what searches see is the one active
release. **Edits** are revisions that people make: they are kept beside the releases, and
reach searches when a new release is derived from an old one and all accepted edits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from services.common.records import (
    Authorship,
    Conclusion,
    Entry,
    EntryKind,
    EntryStatus,
    Retrieved,
    Revision,
)

Vector = NDArray[np.float32]
"""A unit-length embedding, shape (dimension,); a matrix of them has shape (n, dimension)."""


@dataclass(frozen=True, slots=True)
class KnowledgeQuery:
    """What to look for.

    Attributes:
        question: compared with the question each entry was made for.
        k: most entries wanted, at least 1. k are found whenever k pass the filters.
        task: only entries of this task; "" for every task. Holds for the ranked entries,
            not for what the graph adds.
        kinds: only entries of these kinds are ranked.
        exclude_source: no entry made from this item; "" excludes nothing.
        max_related: most rules and facts that the graph adds.
    """

    question: str
    k: int = 1
    task: str = ""
    kinds: frozenset[EntryKind] = field(default_factory=lambda: frozenset(EntryKind))
    exclude_source: str = ""
    max_related: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable, named set of entry revisions.

    Attributes:
        name: unique, 1 to 128 characters.
        checksum: sha256 over the entries, so that the same dump is known again.
        entries: how many.
        embedding_model: id of the encoder that made its vectors.
        embedding_checksum: sha256 of that encoder's weights; vectors of two encoders never mix.
        dimension: of its vectors.
        provenance: who or what made it.
        parent: name of the release it was made from; "" if none.
        description: for people; may be empty. Kept, so that an export equals the dump.
    """

    name: str
    checksum: str
    entries: int
    embedding_model: str
    embedding_checksum: str
    dimension: int
    provenance: str
    parent: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Entries found, best first, and the release they are from (None: no release is active).

    `related` are the rules and facts one hop away in the graph. The knowledge base applies the
    rules among them: from there on it is the facts, and `conclusions` with the rules' say.
    """

    release: Release | None
    found: tuple[Retrieved, ...] = ()
    related: tuple[Retrieved, ...] = ()
    conclusions: tuple[Conclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Uses:
    """How often an entry was put before the student, and how often that went right or wrong."""

    retrieved: int = 0
    right: int = 0
    wrong: int = 0


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries an editor wants to see; every condition has to hold.

    Attributes:
        text: each of its words (separated by white space) stands in the entry's id,
            question or text, whatever the case.
        kinds: of these kinds.
        statuses: in one of these states.
        task: of this task; "" for every task.
        batch: whose newest revision was made in this batch; "" for any.
        after: only ids above this one, in code point order: the page before ended there.
        limit: most entries on the page, at least 1.
    """

    text: str = ""
    kinds: frozenset[EntryKind] = field(default_factory=lambda: frozenset(EntryKind))
    statuses: frozenset[EntryStatus] = field(default_factory=lambda: frozenset(EntryStatus))
    task: str = ""
    batch: str = ""
    after: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Entries by id, and counts over all that match the filter, on this page or not.

    Attributes:
        revisions: the newest revision of each entry.
        total: how many entries match.
        facets: per "kind", "status" and "task" how many entries have each value.
        next_after: `after` of the next page; "" on the last.
    """

    revisions: tuple[Revision, ...]
    total: int
    facets: Mapping[str, Mapping[str, int]]
    next_after: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A revision to be added, and the etag that its entry must have until then ("": no entry)."""

    revision: Revision
    expected_etag: str


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    model_id: str
    checksum: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> Vector:
        """Embeds texts. Returns float32 of shape (len(texts), dimension), rows of length 1."""
        ...


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections to a server: those that calls hold now, and those that wait for one."""

    in_use: int
    idle: int


@runtime_checkable
class PooledStore(Protocol):
    """A store that keeps connections to a server."""

    @property
    def pool_use(self) -> PoolUse:
        """The connections there are now."""
        ...


class KnowledgeStore(Protocol):
    """Keeps releases and edits, finds entries in the active release.

    Implementations pass tests/contract/knowledge_store.py. Every method raises
    KnowledgeUnavailableError when the store cannot be read or written.

    An entry's newest revision is its last edit; if it has none, what the active release
    holds of it.
    """

    async def search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        """Finds the best entries of the active release for `query`, embedded as `vector`.

        With `query.max_related` above 0, the rules and facts that share a concept
        (`concepts.about`) with the question's words or with the entries found come as
        `related`: most shared concepts first, then by id. Of one concept at most 32 are
        looked at, the first by id; of those, none of `query.exclude_source`.

        Raises: KnowledgeUnavailableError also when `vector` has another dimension than the
            release, since a request that needs no knowledge can still be answered.
        """
        ...

    async def facts(self, relations: Iterable[str], limit: int) -> tuple[Entry, ...]:
        """Facts of the active release with one of these relations, by id, at most `limit`."""
        ...

    async def active_release(self) -> Release | None:
        """The release that searches see, or None."""
        ...

    async def previous_release(self) -> Release | None:
        """The release that `roll_back` would go back to, or None."""
        ...

    async def releases(self) -> tuple[Release, ...]:
        """Every complete release, oldest first."""
        ...

    def entries(self, release: str) -> AsyncIterator[tuple[Entry, Vector]]:
        """Every entry of a release with its vector, by id in code point order.

        Raises: ReleaseNotFoundError.
        """
        ...

    async def released(self, release: str, entry_ids: Iterable[str]) -> tuple[Entry, ...]:
        """What a release holds of these entries, by id; those it does not hold are left out.

        Raises: ReleaseNotFoundError.
        """
        ...

    async def rules(self, release: str) -> tuple[Entry, ...]:
        """Every rule of a release, by id. Raises: ReleaseNotFoundError."""
        ...

    async def relations(self, release: str) -> frozenset[str]:
        """The relations that the facts of a release have. Raises: ReleaseNotFoundError."""
        ...

    async def load(
        self, release: Release, rows: Iterable[tuple[Entry, Vector]], *, already: int = 0
    ) -> None:
        """Stores a release, all or nothing; invisible to searches until activated.

        Loading a release that is there with the same checksum changes nothing. A load that
        was cancelled or killed keeps what it wrote, and goes on from there when the same
        release is loaded again; loading another one removes that. One that was refused
        keeps nothing.

        Args:
            release: what to store.
            rows: its entries by id in code point order, and their vectors.
            already: how many of its first entries `rows` leaves out, at most
                `loaded_rows(release)`: embedding them again would take the longest.

        Raises:
            ConfigurationError: a release of that name has other entries or another encoder,
                `rows` is not in order or does not hold `release.entries` different entries,
                or a vector has another dimension.
        """
        ...

    async def loaded_rows(self, release: Release) -> int:
        """How many of the release's first entries an unfinished load has stored; 0 if none."""
        ...

    async def derive(
        self,
        name: str,
        base: str,
        changed: Sequence[tuple[Entry, Vector]],
        removed: Iterable[str],
        provenance: str,
    ) -> Release:
        """Stores a new release: `base` with entries added or replaced by id, and removed.

        All or nothing, invisible until activated. The same call again changes nothing.
        Ids in `removed` that the base does not have are ignored.

        Raises: ReleaseNotFoundError, or ConfigurationError as `load` does.
        """
        ...

    async def activate(self, name: str, author: Authorship) -> Release:
        """Makes a complete release the one that searches see.

        Of the active release itself it is noted, but changes nothing, not even where
        `roll_back` goes.

        Raises: ReleaseNotFoundError.
        """
        ...

    async def roll_back(self, author: Authorship) -> Release:
        """Goes back to the release that was active before this one was activated.

        Again: to the one before that.

        Raises: ReleaseNotFoundError when there was none before.
        """
        ...

    async def record_use(self, entry_ids: Sequence[str]) -> None:
        """Adds one retrieval to each entry's use count."""
        ...

    async def record_outcome(self, entry_ids: Sequence[str], *, right: bool) -> None:
        """Adds one right or wrong answer to each entry's use count."""
        ...

    async def use_counts(self, entry_ids: Sequence[str]) -> dict[str, Uses]:
        """How often each entry was used; zeros for one never used."""
        ...

    async def newest(self, entry_id: str) -> Revision:
        """An entry's newest revision. Raises: EntryNotFoundError."""
        ...

    async def history(self, entry_id: str) -> tuple[Revision, ...]:
        """Every revision of an entry, from releases and edits, by number, oldest first.

        One that came with several releases stands once, for the first of them.

        Raises: EntryNotFoundError.
        """
        ...

    async def find(self, wanted: EntryFilter) -> Page:
        """Lists entries by their newest revision."""
        ...

    async def append(self, changes: Sequence[Change]) -> None:
        """Adds revisions, all or none, each only if its entry's newest one has the etag expected.

        Raises:
            EditConflictError: one has another; the message names the entry and its etag.
            EntryExistsError: `expected_etag` is "", but there is such an entry.
            EntryNotFoundError: `expected_etag` is not "", but there is no such entry.
        """
        ...

    async def batch(self, name: str) -> tuple[Revision, ...]:
        """Every edit of a batch, in the order they were made."""
        ...

    async def edits(self) -> tuple[Revision, ...]:
        """Of each edited entry the last edit that was accepted or retired, by id.

        What lies in the way to that (drafts, rejected ones) is left out: it is what the next
        release takes.
        """
        ...

    async def close(self) -> None:
        """Releases files, connections and threads. Safe to call twice."""
        ...


class Knowledge(Protocol):
    """What the reasoner asks: question in, entries out.

    Implementations: `base.KnowledgeBase` (an embedder and a store), and in `app` the
    handle to a Serve deployment.
    """

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        """Finds entries. Raises KnowledgeUnavailableError."""
        ...

    async def active_release(self) -> Release | None:
        """The release that lookups see, or None. Raises KnowledgeUnavailableError."""
        ...
