"""What the reasoner needs of a knowledge base, and what a knowledge base needs of a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.common.records import Entry, EntryKind, Retrieved

Vector = NDArray[np.float32]
"""A unit-length embedding, shape (dimension,); a matrix of them has shape (n, dimension)."""


@dataclass(frozen=True, slots=True)
class KnowledgeQuery:
    """What to look for.

    Attributes:
        question: compared with the question each entry was made for.
        k: most entries wanted, at least 1. k are found whenever k pass the filters.
        task: only entries of this task; "" for every task.
        kinds: only entries of these kinds.
        exclude_source: no entry made from this item; "" excludes nothing.
    """

    question: str
    k: int = 1
    task: str = ""
    kinds: frozenset[EntryKind] = field(default_factory=lambda: frozenset(EntryKind))
    exclude_source: str = ""


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
    """

    name: str
    checksum: str
    entries: int
    embedding_model: str
    embedding_checksum: str
    dimension: int
    provenance: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Entries found, best first, and the release they are from (None: no release is active)."""

    release: Release | None
    found: tuple[Retrieved, ...] = ()


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    model_id: str
    checksum: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> Vector:
        """Embeds texts. Returns float32 of shape (len(texts), dimension), rows of length 1."""
        ...


class KnowledgeStore(Protocol):
    """Keeps releases, finds entries in the active one.

    Implementations pass tests/contract/knowledge_store.py. Every method raises
    KnowledgeUnavailableError when the store cannot be read or written.
    """

    async def search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        """Finds the best entries of the active release for `query`, embedded as `vector`.

        Raises: KnowledgeUnavailableError also when `vector` has another dimension than the
            release, since a request that needs no knowledge can still be answered.
        """
        ...

    async def active_release(self) -> Release | None:
        """The release that searches see, or None."""
        ...

    async def releases(self) -> tuple[Release, ...]:
        """Every complete release, oldest first."""
        ...

    async def load(self, release: Release, rows: Iterable[tuple[Entry, Vector]]) -> None:
        """Stores a release, all or nothing; invisible to searches until activated.

        Loading a release that is there with the same checksum changes nothing.

        Raises:
            ConfigurationError: a release of that name has other entries or another encoder,
                `rows` does not hold `release.entries` different entries, or a vector has
                another dimension.
        """
        ...

    async def activate(self, name: str) -> None:
        """Makes a loaded release the one that searches see.

        Raises: ConfigurationError when there is no complete release of that name.
        """
        ...

    async def record_use(self, entry_ids: Sequence[str]) -> None:
        """Adds one retrieval to each entry's use count."""
        ...

    async def use_counts(self, entry_ids: Sequence[str]) -> dict[str, int]:
        """How often each entry was retrieved; 0 for one never retrieved."""
        ...

    async def close(self) -> None:
        """Releases files and threads. Safe to call twice."""
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
