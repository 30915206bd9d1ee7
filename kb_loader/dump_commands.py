"""What the commands about dumps do and print."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import typer

from kb_loader.dump import Dump, read_dump, write_manifest
from kb_loader.export import export_release
from kb_loader.load import Loaded, load_dump
from kb_loader.manifest import MANIFEST, VECTORS, Manifest
from kb_loader.session import author, opened_store, print_json, progress
from kb_loader.show import Differences, changes_text, counted, entries_text, kinds_text, plural
from kb_loader.source import StoredRelease, entries, is_dump, stored
from kb_loader.tidy import tidy_files
from services.common.errors import ConfigurationError
from services.common.records import Authorship
from services.common.settings import load_settings
from services.knowledge import embedder as embedders
from services.knowledge.diff import diff_entries
from services.knowledge.protocol import KnowledgeStore, Release


def manifest(
    folder: Path,
    release: str,
    *,
    description: str | None,
    provenance: str | None,
    parent: str | None,
    tidy: bool,
    as_json: bool,
) -> None:
    """Writes the manifest of a folder."""
    tidied = tidy_files(folder) if tidy else ()
    with progress("Checking") as on_progress:
        dump = write_manifest(
            folder,
            release,
            description=description,
            provenance=provenance,
            parent=parent,
            on_progress=on_progress,
        )
    if as_json:
        print_json(dump.manifest.model_dump(exclude_none=True))
        return
    for name in tidied:
        typer.echo(f"rewrote {folder / name}")
    typer.echo(f"wrote {folder / MANIFEST}: release {release}, {kinds_text(dump.counts)}")
    _say_respelled(dump)


def checked(folder: Path) -> Dump:
    """Reads a dump, with a progress bar. Raises: ConfigurationError."""
    with progress("Checking") as on_progress:
        return read_dump(folder, on_progress)


def verify(folder: Path, *, as_json: bool) -> None:
    """Checks a dump."""
    dump = checked(folder)
    if as_json:
        print_json(
            {
                "release": dump.manifest.release,
                "checksum": dump.checksum,
                "entries": dump.rows,
                "kinds": dump.counts,
                "tasks": dump.tasks,
                "has_vectors": VECTORS in dump.manifest.files,
                "respelled": dump.respelled,
            }
        )
        return
    what = kinds_text(dump.counts) + ", with vectors" * (VECTORS in dump.manifest.files)
    typer.echo(f"{folder}: release {dump.manifest.release}, {what}, no problems")
    for line in counted(dump.tasks, unnamed="(any task)"):
        typer.echo(line)
    _say_respelled(dump)


def load(
    folder: Path, *, activate: bool, dry_run: bool, reason: str, actor: str, as_json: bool
) -> None:
    """Loads a dump, or says what a load would change."""
    dump = checked(folder)
    by = author(actor, reason) if activate else None
    if dry_run:
        asyncio.run(_load_dry(dump, activate=activate, as_json=as_json))
        return
    loaded = asyncio.run(_load(dump, by))
    if as_json:
        state = {
            "is_new": loaded.is_new,
            "is_active": loaded.is_active,
            "resumed_at": loaded.resumed_at,
            "vectors": loaded.vectors,
        }
        print_json({**asdict(loaded.release), **state})
        return
    brought = dump.manifest.embedding
    if loaded.is_new and brought is not None and loaded.vectors == "embedded":
        typer.echo(
            f"{VECTORS} was made by {brought.model} ({brought.checksum[:12]}), not by "
            f"{loaded.release.embedding_model}: the entries were embedded anew"
        )
    if loaded.resumed_at:
        typer.echo(f"went on after {entries_text(loaded.resumed_at)} that were there already")
    done = "loaded" if loaded.is_new else "was there already"
    active = "active" if loaded.is_active else "not active"
    typer.echo(f"release {loaded.release.name}: {kinds_text(dump.counts)}, {done}, {active}")


async def _load(dump: Dump, by: Authorship | None) -> Loaded:
    settings = load_settings()
    embedder = embedders.open_embedder(settings)
    async with opened_store() as store:
        with progress("Loading", dump.rows) as on_progress:
            return await load_dump(dump, embedder, store, activate_by=by, on_progress=on_progress)


async def _load_dry(dump: Dump, *, activate: bool, as_json: bool) -> None:
    async with opened_store() as store:
        name = dump.manifest.release
        known = {release.name: release for release in await store.releases()}
        if name in known and known[name].checksum != dump.checksum:
            raise ConfigurationError(
                f"release {name!r} is already loaded with other entries; a release never "
                f"changes, so give this one another name."
            )
        active = await store.active_release()
        counts = await _compared(store, active, dump)
    state = "is there already" if name in known else "would be loaded"
    if as_json:
        print_json(
            {
                "dry_run": True,
                "release": name,
                "is_new": name not in known,
                "would_activate": activate,
                "compared_with": active and active.name,
                **counts,
            }
        )
        return
    then = ", then activated" if activate else ""
    typer.echo(f"release {name}: {kinds_text(dump.counts)}, {state}{then}")
    against = f"release {active.name}, which is active" if active else "no active release"
    typer.echo(f"compared with {against}: {changes_text(counts)}")


async def _compared(store: KnowledgeStore, old: Release | None, new: Dump) -> dict[str, int]:
    counts = {"added": 0, "removed": 0, "changed": 0}
    if old is None:
        return {**counts, "added": new.rows}
    with progress("Comparing", new.rows) as on_progress:
        before = StoredRelease(old, store)
        async for one in diff_entries(entries(before), entries(new, on_progress)):
            counts[one.change] += 1
    return counts


def export(folder: Path, *, release: str, compress: bool, vectors: bool, as_json: bool) -> None:
    """Writes a release as a dump."""
    manifest = asyncio.run(_export(folder, release, compress=compress, vectors=vectors))
    if as_json:
        print_json(manifest.model_dump(exclude_none=True))
    else:
        counts = kinds_text(manifest.counts())
        typer.echo(f"wrote {folder}: release {manifest.release}, {counts}")


async def _export(folder: Path, release: str, *, compress: bool, vectors: bool) -> Manifest:
    async with opened_store() as store:
        source = await stored(store, release)
        with progress("Exporting", source.rows) as on_progress:
            return await export_release(
                store,
                source.release,
                folder,
                compressed=compress,
                with_vectors=vectors,
                on_progress=on_progress,
            )


def diff(old: str, new: str, *, summary: bool, as_json: bool) -> None:
    """Compares two releases or dumps."""
    shown = Differences(old, new, summary=summary, as_json=as_json)
    asyncio.run(_diff(old, new, shown))
    shown.finish()


async def _diff(old: str, new: str, shown: Differences) -> None:
    async with AsyncExitStack() as opened:
        store = None
        if not (is_dump(old) and is_dump(new)):
            store = await opened.enter_async_context(opened_store())
        sources = [
            await stored(store, word) if store and not is_dump(word) else checked(Path(word))
            for word in (old, new)
        ]
        with progress("Comparing", sources[1].rows) as on_progress:
            async for one in diff_entries(entries(sources[0]), entries(sources[1], on_progress)):
                shown.add(one)


def _say_respelled(dump: Dump) -> None:
    if dump.respelled:
        typer.echo(
            f"{plural(dump.respelled, 'line')} would be spelled differently by export; "
            f"to rewrite them: nesycd kb manifest --tidy"
        )
