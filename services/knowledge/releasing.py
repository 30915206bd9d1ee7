"""From edits to a release: what a release made now would change, and making it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import numpy as np

from services.common.errors import (
    ConfigurationError,
    EditRefusedError,
    InvalidRequestError,
    ReleaseNotFoundError,
)
from services.common.records import Authorship, Entry, EntryKind, EntryStatus, Fact, Rule
from services.knowledge.content import RELEASE_NAME
from services.knowledge.diff import EntryDiff, field_changes
from services.knowledge.protocol import Embedder, KnowledgeStore, Release, Vector
from services.knowledge.rules.check import Problem, check_rules
from services.knowledge.rules.parsing import RuleError, parse_rule

_BATCH = 64
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class ReleasePreview:
    """What a release made now would be.

    Attributes:
        base: the release it would be made from.
        changes: entries that the two do not have alike, by id.
        problems: why its rules would be refused.
    """

    base: Release
    changes: tuple[EntryDiff, ...]
    problems: tuple[Problem, ...]

    @property
    def entries(self) -> int:
        """How many it would hold."""
        added = sum(change.old is None for change in self.changes)
        return self.base.entries + added - sum(change.new is None for change in self.changes)


async def preview_release(store: KnowledgeStore, base: str = "") -> ReleasePreview:
    """Compares the accepted and retired edits with a release; "" is the active one.

    An edit counts unless the release says the same, or holds a later revision of its entry,
    as one loaded from a newer dump may.

    Raises: ReleaseNotFoundError.
    """
    start = await _base(store, base)
    edits = await store.edits()
    held = {e.id: e for e in await store.released(start.name, [edit.entry.id for edit in edits])}
    changes = []
    for edit in edits:
        old = held.get(edit.entry.id)
        new = edit.entry if edit.status is EntryStatus.ACCEPTED else None
        is_outdated = old is not None and old.revision > edit.entry.revision
        is_same = old == new or (old and new and replace(old, revision=new.revision) == new)
        if not is_outdated and not is_same:
            changes.append(EntryDiff(edit.entry.id, old, new, field_changes(old, new)))
    problems = await _problems(store, start.name, changes)
    return ReleasePreview(start, tuple(changes), problems)


async def create_release(
    store: KnowledgeStore, embedder: Embedder, name: str, author: Authorship, base: str = ""
) -> Release:
    """Makes a release of another and all accepted and retired edits; embeds what is new.

    Raises:
        InvalidRequestError: `name` is no name of a release.
        ReleaseNotFoundError: there is no such base.
        EditRefusedError: it would be the same as its base, or its rules cannot be used
            together.
        ConfigurationError: the base is of another encoder, or `name` is taken.
    """
    try:
        RELEASE_NAME.checked(name)
    except ValueError as error:
        raise InvalidRequestError.of_field("name", str(error)) from None
    preview = await preview_release(store, base)
    start = preview.base
    if not preview.changes:
        if start.name == name:
            return start
        raise EditRefusedError(f"release {start.name!r} has every accepted edit already.")
    if preview.problems:
        shown = "; ".join(map(str, preview.problems[:_SHOWN_PROBLEMS]))
        raise EditRefusedError(f"the rules cannot be used together: {shown}")
    if start.embedding_checksum != embedder.checksum:
        raise ConfigurationError(
            f"release {start.name!r} was embedded by {start.embedding_model}, but the edits "
            f"would be by {embedder.model_id}: load its dump under another name first."
        )
    changed = [change.new for change in preview.changes if change.new]
    removed = [change.entry_id for change in preview.changes if not change.new]
    vectors = await asyncio.to_thread(_embed, embedder, changed)
    provenance = f"{author.actor}: {author.reason}" if author.reason else author.actor
    return await store.derive(
        name, start.name, list(zip(changed, vectors, strict=True)), removed, provenance
    )


def _embed(embedder: Embedder, entries: list[Entry]) -> Vector:
    texts = [entry.searched_text for entry in entries]
    parts = [
        embedder.embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty((0, embedder.dimension), np.float32)


async def _base(store: KnowledgeStore, name: str) -> Release:
    if not name:
        active = await store.active_release()
        if active is None:
            raise ReleaseNotFoundError("no release is active: name the one to start from.")
        return active
    for release in await store.releases():
        if release.name == name:
            return release
    raise ReleaseNotFoundError(f"there is no release {name!r}.")


async def _problems(
    store: KnowledgeStore, base: str, changes: list[EntryDiff]
) -> tuple[Problem, ...]:
    """What is wrong with the rules together, once the changes are made.

    Relations of the base that only removed facts had count as known.
    """
    touched = [entry for change in changes for entry in (change.old, change.new) if entry]
    if all(entry.kind is EntryKind.NOTE for entry in touched):
        return ()
    rules = {entry.id: entry for entry in await store.rules(base)}
    for change in changes:
        rules.pop(change.entry_id, None)
        if change.new and change.new.kind is EntryKind.RULE:
            rules[change.entry_id] = change.new
    relations = set(await store.relations(base))
    relations.update(
        change.new.body.relation
        for change in changes
        if change.new and isinstance(change.new.body, Fact)
    )
    clauses, problems = {}, []
    for entry_id, entry in rules.items():
        assert isinstance(entry.body, Rule)  # noqa: S101 - only rules were taken
        try:
            clauses[entry_id] = parse_rule(entry.body.text)
        except RuleError as error:
            problems.append(Problem(entry_id, str(error)))
    return (*problems, *check_rules(clauses, relations))
