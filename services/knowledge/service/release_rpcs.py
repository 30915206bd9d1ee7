"""The RPCs of knowledge.proto that are about releases; `servicer` has the others."""
# ruff: noqa: D102, N802 - RPC names, documented in knowledge.proto

from __future__ import annotations

from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.editing import Editor
from services.knowledge.protocol import KnowledgeStore
from services.knowledge.service import wire
from services.knowledge.service.requests import Checks


class ReleaseRpcs:
    """Lists, makes and switches releases. Raises NesycdError."""

    def __init__(self, editor: Editor, store: KnowledgeStore) -> None:
        self._editor = editor
        self._store = store

    async def ListReleases(self, message: pb.ListReleasesRequest) -> pb.ListReleasesResponse:
        del message
        active = await self._store.active_release()
        return pb.ListReleasesResponse(
            releases=[
                wire.write_release(one, active=active is not None and one.name == active.name)
                for one in await self._store.releases()
            ]
        )

    async def PreviewRelease(self, message: pb.PreviewReleaseRequest) -> pb.PreviewReleaseResponse:
        checks = Checks(message)
        base, limit = checks.text("base"), checks.number("limit", 1, 1000, 200)
        checks.done()
        preview = await self._editor.preview_release(base)
        changes = [wire.write_diff(one) for one in preview.changes[:limit]]
        return pb.PreviewReleaseResponse(
            base=preview.base.name,
            changes=changes[: wire.fitting(changes)],
            total=len(preview.changes),
            entries=preview.entries,
            problems=[
                pb.RuleProblem(id=one.rule_id, reason=one.reason) for one in preview.problems
            ],
        )

    async def CreateRelease(self, message: pb.CreateReleaseRequest) -> pb.CreateReleaseResponse:
        checks = Checks(message)
        name, base = checks.text("name", filled=True), checks.text("base")
        author = checks.author()
        checks.done()
        release = await self._editor.create_release(name, author, base)
        active = await self._store.active_release()
        is_active = active is not None and active.name == release.name
        return pb.CreateReleaseResponse(release=wire.write_release(release, active=is_active))

    async def ActivateRelease(
        self, message: pb.ActivateReleaseRequest
    ) -> pb.ActivateReleaseResponse:
        checks = Checks(message)
        name, author = checks.text("name", filled=True), checks.author()
        checks.done()
        release = await self._store.activate(name, author)
        return pb.ActivateReleaseResponse(release=wire.write_release(release, active=True))

    async def RollBackRelease(
        self, message: pb.RollBackReleaseRequest
    ) -> pb.RollBackReleaseResponse:
        checks = Checks(message)
        author = checks.author()
        checks.done()
        release = await self._store.roll_back(author)
        return pb.RollBackReleaseResponse(release=wire.write_release(release, active=True))
