"""What the commands about releases in the store do and print."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict

import typer

from kb_loader.migrations import migrate_store, read_migrations
from kb_loader.session import author, opened_store, print_json, progress
from kb_loader.show import changes_text, counted, difference_lines, entries_text, ids_text, plural
from kb_loader.source import StoredRelease, entries, stored
from kb_loader.stats import Stats, read_stats
from services.common.errors import ReleaseNotFoundError
from services.common.records import Authorship
from services.common.settings import load_settings
from services.knowledge import embedder as embedders
from services.knowledge.diff import diff_entries
from services.knowledge.editing import Editor
from services.knowledge.protocol import KnowledgeStore, Release
from services.knowledge.releasing import ReleasePreview, preview_release


def releases(*, as_json: bool) -> None:
    """Lists the releases."""
    known, active = asyncio.run(_releases())
    if as_json:
        print_json([{**asdict(release), "is_active": release == active} for release in known])
        return
    if not known:
        typer.echo("no releases; load one with: nesycd kb load DIR")
    for release in known:
        mark = "*" if release == active else " "
        parent = f", from {release.parent}" if release.parent else ""
        typer.echo(
            f"{mark} {release.name}: {entries_text(release.entries)}{parent}, "
            f"{release.embedding_model}, {release.provenance}, {release.checksum[:12]}"
        )


async def _releases() -> tuple[tuple[Release, ...], Release | None]:
    async with opened_store() as store:
        return await store.releases(), await store.active_release()


def release(name: str, *, base: str, dry_run: bool, reason: str, actor: str, as_json: bool) -> None:
    """Makes a release of another and the accepted edits, or says what it would hold."""
    preview, made = asyncio.run(_release(name, base, None if dry_run else author(actor, reason)))
    counts = _counts(preview)
    if as_json:
        problems = [str(problem) for problem in preview.problems]
        shown = {"base": preview.base.name, "entries": preview.entries, **counts}
        print_json({"release": name, "dry_run": dry_run, **shown, "problems": problems})
        return
    if made is None:
        for change in preview.changes:
            for line in difference_lines(change):
                typer.echo(line)
        for problem in preview.problems:
            typer.echo(f"refused: {problem}")
    done = "made" if made else "would be made"
    typer.echo(
        f"release {name}: {done} from {preview.base.name}, {entries_text(preview.entries)}: "
        f"{changes_text(counts)}"
    )
    if made is not None:
        typer.echo(f"to use it: nesycd kb activate {name}")


async def _release(
    name: str, base: str, by: Authorship | None
) -> tuple[ReleasePreview, Release | None]:
    async with opened_store() as store:
        preview = await preview_release(store, base)
        if by is None:
            return preview, None
        embedder = await asyncio.to_thread(embedders.open_embedder, load_settings())
        return preview, await Editor(store, embedder).create_release(name, by, base)


def _counts(preview: ReleasePreview) -> dict[str, int]:
    counts = Counter(change.change for change in preview.changes)
    return {change: counts[change] for change in ("added", "removed", "changed")}


def activate(name: str, *, dry_run: bool, reason: str, actor: str, as_json: bool) -> None:
    """Makes a release the active one, or says what that would change."""
    by = author(actor, reason)
    asyncio.run(_activate(name, by, dry_run=dry_run, as_json=as_json))


async def _activate(name: str, by: Authorship, *, dry_run: bool, as_json: bool) -> None:
    async with opened_store() as store:
        if dry_run:
            await _show_switch(store, (await stored(store, name)).release, as_json=as_json)
            return
        _show_active(await store.activate(name, by), as_json=as_json)


def rollback(*, dry_run: bool, reason: str, actor: str, as_json: bool) -> None:
    """Goes back to the release before, or says what that would change."""
    by = author(actor, reason)
    asyncio.run(_rollback(by, dry_run=dry_run, as_json=as_json))


async def _rollback(by: Authorship, *, dry_run: bool, as_json: bool) -> None:
    async with opened_store() as store:
        if dry_run:
            before = await store.previous_release()
            if before is None:
                raise ReleaseNotFoundError("there is no release to roll back to.")
            await _show_switch(store, before, as_json=as_json)
            return
        _show_active(await store.roll_back(by), as_json=as_json)


def _show_active(active: Release, *, as_json: bool) -> None:
    if as_json:
        print_json({"active": active.name})
    else:
        typer.echo(f"release {active.name} is active")


async def _show_switch(store: KnowledgeStore, new: Release, *, as_json: bool) -> None:
    """Says what would change if another release became active."""
    old = await store.active_release()
    counts = {"added": 0, "removed": 0, "changed": 0}
    if old is None:
        counts["added"] = new.entries
    elif old.checksum != new.checksum:
        with progress("Comparing", new.entries) as on_progress:
            before, after = StoredRelease(old, store), StoredRelease(new, store)
            async for one in diff_entries(entries(before), entries(after, on_progress)):
                counts[one.change] += 1
    if as_json:
        print_json(
            {"dry_run": True, "active": old and old.name, "would_activate": new.name, **counts}
        )
        return
    instead = f" instead of {old.name}" if old else ""
    typer.echo(f"release {new.name} would be active{instead}: {changes_text(counts)}")


def stats(*, as_json: bool) -> None:
    """Counts what the store holds."""
    found = asyncio.run(_stats())
    if as_json:
        print_json(asdict(found))
        return
    active = found.active
    typer.echo(
        f"{plural(len(found.releases), 'release')}; active: "
        + (f"{active.name}, {entries_text(active.entries)}" if active else "none")
    )
    _show_counts(found)
    if found.most_used:
        typer.echo("most used:")
    for entry_id, uses in found.most_used:
        typer.echo(f"  {entry_id}: {uses.retrieved} times, right {uses.right}, wrong {uses.wrong}")
    never = f": {ids_text(found.never_used)}" if found.never_used and found.most_used else ""
    typer.echo(f"never used: {entries_text(len(found.never_used))}{never}")


def _show_counts(found: Stats) -> None:
    for title, counts in (
        ("by kind", found.kinds),
        ("by task", found.tasks),
        ("by provenance", found.provenances),
        ("by status, edits included", found.statuses),
    ):
        if counts:
            typer.echo(f"{title}:")
        for line in counted(counts):
            typer.echo(line)
    if found.waiting:
        said = f"{found.waiting} accepted or retired since the active release was made"
        typer.echo(f"waiting for a release: {said}; see: nesycd kb release NAME --dry-run")


async def _stats() -> Stats:
    async with opened_store() as store:
        return await read_stats(store)


def migrate(*, dry_run: bool, as_json: bool) -> None:
    """Brings the store's schema up to date, or says what that would take."""
    settings = load_settings()
    found = asyncio.run(read_migrations(settings))
    if not dry_run and found.pending:
        asyncio.run(migrate_store(settings))
    if as_json:
        print_json({"dry_run": dry_run, **asdict(found)})
        return
    for name in found.applied:
        typer.echo(f"  done before: {name}")
    for name in found.pending:
        typer.echo(f"  {'to be done' if dry_run else 'done'}: {name}")
    state = f"{len(found.pending)} to be done" if dry_run and found.pending else "up to date"
    typer.echo(f"{settings.knowledge.store} store: {state}")
