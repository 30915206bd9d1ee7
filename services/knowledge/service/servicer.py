"""The RPCs of knowledge.proto over an editor and its store: messages in, messages out.

Free of gRPC: a refused call raises a NesycdError, which `services.reasoner.knowledge_rpcs`,
on the other side of a Serve handle, turns into the call's status.
"""
# ruff: noqa: D102, N802 - RPC names, documented in knowledge.proto

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from google.protobuf.message import Message

from services.common.errors import (
    EntryNotFoundError,
    InvalidRequestError,
    KnowledgeUnavailableError,
)
from services.common.records import EntryKind, EntryStatus, Revision
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.diff import field_changes
from services.knowledge.duplicates import NearDuplicates, near_duplicates
from services.knowledge.editing import Editor
from services.knowledge.protocol import (
    Embedder,
    EntryFilter,
    KnowledgeQuery,
    KnowledgeStore,
    Vector,
)
from services.knowledge.service import wire
from services.knowledge.service.release_rpcs import ReleaseRpcs
from services.knowledge.service.requests import Checks

MOST_COMPARED = 20_000
"""Entries that duplicates are looked for in: more take too long for a call."""

_VERDICTS = {one.value: one for one in (EntryStatus.ACCEPTED, EntryStatus.REJECTED)}


class Outcome(StrEnum):
    """What an answer turned out to be."""

    RIGHT = "right"
    WRONG = "wrong"


class KnowledgeServicer(ReleaseRpcs):
    """Answers the RPCs of KnowledgeService. Raises NesycdError.

    Args:
        editor: makes the changes.
        store: is read.
        embedder: that of the active release.
    """

    def __init__(self, editor: Editor, store: KnowledgeStore, embedder: Embedder) -> None:
        super().__init__(editor, store)
        self._embedder = embedder

    async def call(self, rpc: str, message: Message) -> Message:
        """Answers the RPC of that name."""
        reply: Message = await getattr(self, rpc)(message)
        return reply

    async def FindEntries(self, message: pb.FindEntriesRequest) -> pb.FindEntriesResponse:
        checks = Checks(message)
        wanted = EntryFilter(
            text=checks.text("text", 1000),
            kinds=checks.choices("kinds", EntryKind),
            statuses=checks.choices("statuses", EntryStatus),
            task=checks.text("task"),
            batch=checks.text("batch"),
            after=checks.text("page_token"),
            limit=checks.number("page_size", 1, 200, 50),
        )
        checks.done()
        page = await self._store.find(wanted)
        entries = await self._with_uses(page.revisions)
        fitting = wire.fitting(entries)
        return pb.FindEntriesResponse(
            entries=entries[:fitting],
            total=page.total,
            facets=[
                pb.FacetCount(field=field, value=value, entries=count)
                for field, counts in sorted(page.facets.items())
                for value, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
            ],
            next_page_token=(
                page.next_after if fitting == len(entries) else entries[fitting - 1].entry.id
            ),
        )

    async def SearchEntries(self, message: pb.SearchEntriesRequest) -> pb.SearchEntriesResponse:
        checks = Checks(message)
        query = KnowledgeQuery(
            checks.question(),
            k=checks.number("top_k", 1, 50, 10),
            task=checks.text("task"),
            kinds=checks.choices("kinds", EntryKind),
            max_related=checks.number("max_related", 0, 64, 0),
        )
        checks.done()
        vectors = await asyncio.to_thread(self._embedder.embed, [query.question])
        lookup = await self._store.search(query, vectors[0])
        if lookup.release and lookup.release.embedding_checksum != self._embedder.checksum:
            raise KnowledgeUnavailableError(
                f"release {lookup.release.name!r} was embedded by "
                f"{lookup.release.embedding_model}, questions by {self._embedder.model_id}"
            )
        return pb.SearchEntriesResponse(
            found=[wire.write_found(one) for one in (*lookup.found, *lookup.related)],
            release=lookup.release.name if lookup.release else "",
        )

    async def GetEntry(self, message: pb.GetEntryRequest) -> pb.GetEntryResponse:
        checks = Checks(message)
        entry_id = checks.text("id", filled=True)
        number = checks.number("revision", 1, 2**31 - 1, 0)
        checks.done()
        if number:
            revision = await self._revision(entry_id, number)
        else:
            revision = await self._store.newest(entry_id)
        return pb.GetEntryResponse(entry=await self._written(revision))

    async def GetEntryHistory(
        self, message: pb.GetEntryHistoryRequest
    ) -> pb.GetEntryHistoryResponse:
        checks = Checks(message)
        entry_id = checks.text("id", filled=True)
        checks.done()
        revisions = await self._store.history(entry_id)
        before = (None, *(revision.entry for revision in revisions))
        return pb.GetEntryHistoryResponse(
            steps=[
                pb.HistoryStep(
                    revision=wire.write_revision(revision),
                    changes=wire.write_changes(field_changes(old, revision.entry)),
                )
                for old, revision in zip(before, revisions, strict=False)
            ]
        )

    async def CreateEntry(self, message: pb.CreateEntryRequest) -> pb.CreateEntryResponse:
        checks = Checks(message)
        entry, author = checks.entry(), checks.author()
        checks.done()
        return pb.CreateEntryResponse(
            entry=await self._written(await self._editor.create(entry, author))
        )

    async def UpdateEntry(self, message: pb.UpdateEntryRequest) -> pb.UpdateEntryResponse:
        checks = Checks(message)
        entry, etag, author = checks.entry(), checks.text("etag", filled=True), checks.author()
        checks.done()
        return pb.UpdateEntryResponse(
            entry=await self._written(await self._editor.update(entry, etag, author))
        )

    async def ReviewEntry(self, message: pb.ReviewEntryRequest) -> pb.ReviewEntryResponse:
        checks = Checks(message)
        entry_id, etag = checks.text("id", filled=True), checks.text("etag", filled=True)
        verdict, author = checks.choice("verdict", _VERDICTS), checks.author()
        checks.done()
        reviewed = await self._editor.review(entry_id, etag, verdict, author)
        return pb.ReviewEntryResponse(entry=await self._written(reviewed))

    async def RetireEntry(self, message: pb.RetireEntryRequest) -> pb.RetireEntryResponse:
        checks = Checks(message)
        entry_id, etag = checks.text("id", filled=True), checks.text("etag", filled=True)
        author = checks.author()
        checks.done()
        retired = await self._editor.retire(entry_id, etag, author)
        return pb.RetireEntryResponse(entry=await self._written(retired))

    async def RevertEntry(self, message: pb.RevertEntryRequest) -> pb.RevertEntryResponse:
        checks = Checks(message)
        entry_id, etag = checks.text("id", filled=True), checks.text("etag", filled=True)
        number, author = checks.count("revision"), checks.author()
        checks.done()
        reverted = await self._editor.revert(entry_id, etag, number, author)
        return pb.RevertEntryResponse(entry=await self._written(reverted))

    async def RevertBatch(self, message: pb.RevertBatchRequest) -> pb.RevertBatchResponse:
        checks = Checks(message)
        batch, author = checks.text("batch", filled=True), checks.author()
        checks.done()
        reverted = await self._editor.revert_batch(batch, author)
        return pb.RevertBatchResponse(entries=await self._with_uses(reverted))

    async def MergeEntries(self, message: pb.MergeEntriesRequest) -> pb.MergeEntriesResponse:
        checks = Checks(message)
        entry_id, etag = checks.text("id", filled=True), checks.text("etag", filled=True)
        into, author = checks.text("into", filled=True), checks.author()
        checks.done()
        merged = await self._editor.merge(entry_id, etag, into, author)
        return pb.MergeEntriesResponse(entry=await self._written(merged))

    async def FindDuplicateEntries(
        self, message: pb.FindDuplicateEntriesRequest
    ) -> pb.FindDuplicateEntriesResponse:
        checks = Checks(message)
        kinds, task = checks.choices("kinds", EntryKind), checks.text("task")
        threshold, limit = (
            checks.fraction("min_similarity", 0.9),
            checks.number("limit", 1, 1000, 50),
        )
        checks.done()
        release = await self._store.active_release()
        if release is None:
            return pb.FindDuplicateEntriesResponse()
        texts: dict[str, str] = {}
        vectors: list[Vector] = []
        async for entry, vector in self._store.entries(release.name):
            if entry.kind in kinds and task in {"", entry.task}:
                texts[entry.id] = entry.searched_text
                vectors.append(vector)
            if len(vectors) > MOST_COMPARED:
                raise InvalidRequestError.of_field(
                    "task",
                    f"more than {MOST_COMPARED} entries of {release.name!r} are too many to "
                    f"compare here: name one task, or use `nesycd kb check`",
                )
        pairs = await asyncio.to_thread(_near_duplicates, list(texts), vectors, threshold)
        return pb.FindDuplicateEntriesResponse(
            pairs=[
                pb.DuplicatePair(
                    id=pair.first,
                    other_id=pair.second,
                    similarity=pair.similarity,
                    text=texts[pair.first],
                    other_text=texts[pair.second],
                )
                for pair in pairs[:limit]
            ],
            release=release.name,
        )

    async def RecordOutcome(self, message: pb.RecordOutcomeRequest) -> pb.RecordOutcomeResponse:
        checks = Checks(message)
        entry_ids = checks.texts("entry_ids", 64)
        outcome = checks.choice("outcome", {one.value: one for one in Outcome})
        checks.done()
        await self._store.record_outcome(entry_ids, right=outcome is Outcome.RIGHT)
        return pb.RecordOutcomeResponse()

    async def _revision(self, entry_id: str, number: int) -> Revision:
        # Two dumps may each bring a revision of that number: the later one is meant.
        for revision in reversed(await self._store.history(entry_id)):
            if revision.entry.revision == number:
                return revision
        raise EntryNotFoundError(f"entry {entry_id!r} has no revision {number}")

    async def _written(self, revision: Revision) -> pb.EntryRevision:
        [written] = await self._with_uses([revision])
        return written

    async def _with_uses(self, revisions: Sequence[Revision]) -> list[pb.EntryRevision]:
        uses = await self._store.use_counts([one.entry.id for one in revisions])
        return [wire.write_revision(one, uses[one.entry.id]) for one in revisions]


def _near_duplicates(
    ids: Sequence[str], vectors: Sequence[Vector], threshold: float
) -> list[NearDuplicates]:
    return near_duplicates(ids, np.stack(vectors), threshold=threshold) if vectors else []
