"""The life cycle of entries: who may change what, when, and into which state.

::

    create, update -> draft -- review --> accepted | rejected
    retire, merge  -> retired
    revert         -> what the entry was in an earlier revision

Every change is a new revision. Releases take what was accepted last, also while a later draft
waits for its review.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from services.common.errors import (
    EditConflictError,
    EditRefusedError,
    EntryNotFoundError,
    InvalidRequestError,
)
from services.common.records import Action, Authorship, Entry, EntryStatus, Revision
from services.knowledge.checksums import etag as etag_of
from services.knowledge.content import fields_of
from services.knowledge.diff import FieldChange, field_changes
from services.knowledge.protocol import Change, Embedder, EntryFilter, KnowledgeStore, Release
from services.knowledge.releasing import ReleasePreview, create_release, preview_release

_PAGE = 200


class Editor:
    """Changes entries in any store. Holds no state: any number of them may work at once.

    Every method that changes something raises InvalidRequestError when the author has no
    name. Those that take an etag raise EntryNotFoundError, and EditConflictError when it is
    not that of the entry's newest revision: of several editors at once exactly one wins.

    Args:
        store: keeps the entries.
        embedder: that of the releases; embeds what a new release adds.
        clock: seconds since 1970.
    """

    def __init__(
        self, store: KnowledgeStore, embedder: Embedder, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock

    async def get(self, entry_id: str) -> Revision:
        """An entry's newest revision. Raises: EntryNotFoundError."""
        return await self._store.newest(entry_id)

    async def history(self, entry_id: str) -> tuple[Revision, ...]:
        """Every revision of an entry, oldest first. Raises: EntryNotFoundError."""
        return await self._store.history(entry_id)

    async def diff(self, entry_id: str, old: int, new: int) -> tuple[FieldChange, ...]:
        """What two revisions do not have alike. Raises: EntryNotFoundError."""
        steps = [await self._revision(entry_id, number) for number in (old, new)]
        return field_changes(steps[0].entry, steps[1].entry)

    async def create(self, entry: Entry, author: Authorship) -> Revision:
        """Adds an entry, as a draft; its revision's number is given. Raises: EntryExistsError."""
        draft = await self._step(entry, EntryStatus.DRAFT, Action.CREATED, author)
        await self._store.append([Change(draft, "")])
        return draft

    async def update(self, entry: Entry, etag: str, author: Authorship) -> Revision:
        """Replaces an entry's content; it is a draft again. Its revision's number is given.

        Raises: EditRefusedError when nothing would change, or it was merged into another.
        """
        now = await self._current(entry.id, etag)
        if now.redirect_to:
            raise EditRefusedError(f"entry {entry.id!r} was merged into {now.redirect_to!r}.")
        is_same = replace(entry, revision=now.entry.revision) == now.entry
        if is_same and now.status in {EntryStatus.DRAFT, EntryStatus.ACCEPTED}:
            raise EditRefusedError(f"nothing would change in entry {entry.id!r}.")
        draft = await self._step(entry, EntryStatus.DRAFT, Action.UPDATED, author)
        return await self._replace(now, draft)

    async def review(
        self, entry_id: str, etag: str, verdict: EntryStatus, author: Authorship
    ) -> Revision:
        """Accepts or rejects a draft. Raises: EditRefusedError when it is none."""
        if verdict not in {EntryStatus.ACCEPTED, EntryStatus.REJECTED}:
            raise InvalidRequestError.of_field("verdict", f"{verdict.value} is none")
        now = await self._current(entry_id, etag)
        if now.status is not EntryStatus.DRAFT:
            raise EditRefusedError(f"entry {entry_id!r} is {now.status.value}, not a draft.")
        return await self._replace(
            now, await self._step(now.entry, verdict, Action.REVIEWED, author)
        )

    async def retire(self, entry_id: str, etag: str, author: Authorship) -> Revision:
        """Takes an entry out of releases to come. Raises: EditRefusedError when it is out."""
        now = await self._present(entry_id, etag)
        retired = await self._step(now.entry, EntryStatus.RETIRED, Action.RETIRED, author)
        return await self._replace(now, retired)

    async def revert(self, entry_id: str, etag: str, revision: int, author: Authorship) -> Revision:
        """Makes an entry what it was in an earlier revision, content and status.

        Raises:
            EntryNotFoundError: it has no such revision.
            EditRefusedError: that is what it is.
        """
        now = await self._current(entry_id, etag)
        then = await self._revision(entry_id, revision)
        if _is_same(now, then):
            raise EditRefusedError(f"entry {entry_id!r} is what it was in revision {revision}.")
        return await self._replace(now, await self._again(then, author))

    async def revert_batch(self, batch: str, author: Authorship) -> tuple[Revision, ...]:
        """Makes every entry of a batch what it was before; those it created are retired.

        All or none. Returns the new revisions, by id.

        Raises:
            EntryNotFoundError: nothing was done in such a batch.
            EditConflictError: some were changed since; the message names them.
        """
        if author.batch == batch:
            raise InvalidRequestError.of_field("batch", "undoing a batch is no part of it")
        edits = await self._store.batch(batch)
        if not edits:
            raise EntryNotFoundError(f"there is no batch {batch!r}.")
        first = {edit.entry.id: edit for edit in reversed(edits)}
        last = {edit.entry.id: edit for edit in edits}
        changed_since, changes = [], []
        for entry_id in sorted(first):
            now = await self._store.newest(entry_id)
            if now != last[entry_id]:
                changed_since.append(f"{entry_id!r} (etag {etag_of(now)})")
            then = await self._before(first[entry_id])
            changes.append(Change(await self._again(then, author), etag_of(now)))
        if changed_since:
            raise EditConflictError(f"changed since batch {batch!r}: {', '.join(changed_since)}.")
        await self._store.append(changes)
        return tuple(change.revision for change in changes)

    async def merge(self, entry_id: str, etag: str, into: str, author: Authorship) -> Revision:
        """Retires an entry in favour of another, and redirects to that one.

        Raises: EditRefusedError when either is retired, both are one, or another entry was
            merged into the one that goes.
        """
        now = await self._present(entry_id, etag)
        if into == entry_id:
            raise EditRefusedError(f"entry {entry_id!r} cannot be merged into itself.")
        if (await self._store.newest(into)).status is EntryStatus.RETIRED:
            raise EditRefusedError(f"entry {into!r} is retired.")
        if chained := await self._merged_into(entry_id):
            raise EditRefusedError(
                f"entry {chained!r} was merged into {entry_id!r}: merge that one elsewhere first."
            )
        retired = await self._step(now.entry, EntryStatus.RETIRED, Action.MERGED, author)
        return await self._replace(now, replace(retired, redirect_to=into))

    async def preview_release(self, base: str = "") -> ReleasePreview:
        """What a release made now would change; see `releasing`."""
        return await preview_release(self._store, base)

    async def create_release(self, name: str, author: Authorship, base: str = "") -> Release:
        """Makes a release of another and all accepted edits; see `releasing`."""
        _check_author(author)
        return await create_release(self._store, self._embedder, name, author, base)

    async def _current(self, entry_id: str, etag: str) -> Revision:
        now = await self._store.newest(entry_id)
        if etag_of(now) != etag:
            raise EditConflictError.of_entry(entry_id, etag=etag_of(now), expected=etag)
        return now

    async def _present(self, entry_id: str, etag: str) -> Revision:
        now = await self._current(entry_id, etag)
        if now.status is EntryStatus.RETIRED:
            raise EditRefusedError(f"entry {entry_id!r} is retired already.")
        return now

    async def _revision(self, entry_id: str, number: int) -> Revision:
        # Two dumps may each bring a revision of that number: the later one is meant.
        for revision in reversed(await self._store.history(entry_id)):
            if revision.entry.revision == number:
                return revision
        raise EntryNotFoundError(f"entry {entry_id!r} has no revision {number}.")

    async def _step(
        self, entry: Entry, status: EntryStatus, action: Action, author: Authorship
    ) -> Revision:
        """The next revision of an entry, with the highest number yet."""
        _check_author(author)
        _check_text(entry)
        try:
            known = await self._store.history(entry.id)
        except EntryNotFoundError:
            known = ()
        number = 1 + max((revision.entry.revision for revision in known), default=0)
        return Revision(replace(entry, revision=number), status, action, author, self._clock())

    async def _again(self, then: Revision, author: Authorship) -> Revision:
        step = await self._step(then.entry, then.status, Action.REVERTED, author)
        return replace(step, redirect_to=then.redirect_to)

    async def _replace(self, now: Revision, new: Revision) -> Revision:
        await self._store.append([Change(new, etag_of(now))])
        return new

    async def _before(self, edit: Revision) -> Revision:
        """What an entry was before an edit: retired, if it was not there."""
        if edit.action is Action.CREATED:
            return replace(edit, status=EntryStatus.RETIRED)
        earlier = [
            revision
            for revision in await self._store.history(edit.entry.id)
            if revision.entry.revision < edit.entry.revision
        ]
        return next(
            (revision for revision in reversed(earlier) if revision.action is not Action.LOADED),
            earlier[-1],
        )

    async def _merged_into(self, entry_id: str) -> str:
        """Id of an entry that redirects to this one; "" if there is none."""
        wanted = EntryFilter(statuses=frozenset({EntryStatus.RETIRED}), limit=_PAGE)
        while True:
            page = await self._store.find(wanted)
            for revision in page.revisions:
                if revision.redirect_to == entry_id:
                    return revision.entry.id
            if not page.next_after:
                return ""
            wanted = replace(wanted, after=page.next_after)


def _is_same(one: Revision, other: Revision) -> bool:
    content = replace(one.entry, revision=other.entry.revision)
    return (content, one.status, one.redirect_to) == (other.entry, other.status, other.redirect_to)


def _check_author(author: Authorship) -> None:
    if not author.actor.strip():
        raise InvalidRequestError.of_field("actor", "is empty; every change says who made it")
    for name in ("actor", "reason", "batch"):
        _check_encodable(name, getattr(author, name))


def _check_text(entry: Entry) -> None:
    for name, value in fields_of(entry).items():
        for text in value if isinstance(value, tuple) else (value,):
            _check_encodable(name, str(text))


def _check_encodable(field: str, text: str) -> None:
    """Refuses what no store and no message can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError.of_field(field, "holds half of a surrogate pair") from None
