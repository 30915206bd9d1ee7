"""`nesycd kb`: knowledge dumps in and out of the store. Thin: parse, call, print."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kb_loader.dump import Dump
    from kb_loader.load import Loaded
    from services.common.settings import Settings
    from services.knowledge.protocol import Embedder, Release

app = typer.Typer(
    help="Check, load and activate knowledge dumps.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="Folder of the dump.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command(epilog="Example: nesycd kb manifest ./my-notes --release 2026-05-01")
def manifest(
    folder: Folder,
    *,
    release: Annotated[str, typer.Option(help="Name of the release the dump becomes.")],
    description: Annotated[
        str | None, typer.Option(help="For people. Left out: as it was.", show_default=False)
    ] = None,
    provenance: Annotated[
        str | None, typer.Option(help="Who or what made it. Left out: as it was, or curated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the notes of a folder and write its manifest.json, as after an edit by hand."""
    from kb_loader.dump import MANIFEST, write_manifest

    dump = write_manifest(folder, release, description=description, provenance=provenance)
    if as_json:
        _print_json(dump.manifest.model_dump())
    else:
        typer.echo(f"wrote {folder / MANIFEST}: release {release}, {dump.rows} notes")


@app.command(epilog="Example: nesycd kb verify ./my-notes")
def verify(folder: Folder, *, as_json: Json = False) -> None:
    """Check a dump without loading it: every wrong line and field is named."""
    from kb_loader.dump import read_dump

    dump = read_dump(folder)
    if as_json:
        counts = {"notes": dump.rows, "tasks": dump.tasks}
        _print_json({"release": dump.manifest.release, "checksum": dump.checksum, **counts})
        return
    typer.echo(f"{folder}: release {dump.manifest.release}, {dump.rows} notes, no problems")
    for task, notes in dump.tasks.items():
        typer.echo(f"  {task or '(any task)'}: {notes}")


@app.command(epilog="Example: nesycd kb load ./my-notes")
def load(
    folder: Folder,
    *,
    activate: Annotated[
        bool, typer.Option(help="Make it the release that searches see, once it is loaded.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Check a dump, embed it and store it as a release. Repeated, it changes nothing."""
    from kb_loader.dump import read_dump
    from services.common.settings import load_settings
    from services.knowledge.embedder import open_embedder

    dump = read_dump(folder)
    settings = load_settings()
    loaded = asyncio.run(_load(settings, dump, open_embedder(settings), activate=activate))
    if as_json:
        state = {"is_new": loaded.is_new, "is_active": loaded.is_active}
        _print_json({**asdict(loaded.release), **state})
        return
    done = "loaded" if loaded.is_new else "was there already"
    active = "active" if loaded.is_active else "not active"
    typer.echo(f"release {loaded.release.name}: {loaded.release.entries} notes, {done}, {active}")


@app.command(epilog="Example: nesycd kb releases --json")
def releases(*, as_json: Json = False) -> None:
    """List the releases in the store; the active one is marked."""
    from services.common.settings import load_settings

    known, active = asyncio.run(_list(load_settings()))
    if as_json:
        _print_json([{**asdict(release), "is_active": release == active} for release in known])
        return
    if not known:
        typer.echo("no releases; load one with: nesycd kb load DIR")
    for release in known:
        mark = "*" if release == active else " "
        typer.echo(
            f"{mark} {release.name}: {release.entries} notes, {release.embedding_model}, "
            f"{release.provenance}, {release.checksum[:12]}"
        )


@app.command(epilog="Example: nesycd kb activate 2026-05-01")
def activate(
    name: Annotated[str, typer.Argument(help="Name of a loaded release.", metavar="NAME")],
    *,
    as_json: Json = False,
) -> None:
    """Make a loaded release the one that searches see; running services follow by themselves.

    Activating an older release is how to roll back.
    """
    from services.common.settings import load_settings

    asyncio.run(_activate(load_settings(), name))
    if as_json:
        _print_json({"active": name})
    else:
        typer.echo(f"release {name} is active")


async def _load(settings: Settings, dump: Dump, embedder: Embedder, *, activate: bool) -> Loaded:
    from rich.console import Console
    from rich.progress import Progress

    from kb_loader.load import load_dump
    from services.knowledge.embedded import EmbeddedStore

    console = Console(stderr=True)
    store = EmbeddedStore.from_settings(settings)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("Embedding", total=dump.rows)
            return await load_dump(
                dump,
                embedder,
                store,
                activate=activate,
                on_progress=lambda notes: bar.advance(task, notes),
            )
    finally:
        await store.close()


async def _list(settings: Settings) -> tuple[tuple[Release, ...], Release | None]:
    from services.knowledge.embedded import EmbeddedStore

    store = EmbeddedStore.from_settings(settings)
    try:
        return await store.releases(), await store.active_release()
    finally:
        await store.close()


async def _activate(settings: Settings, name: str) -> None:
    from services.knowledge.embedded import EmbeddedStore

    store = EmbeddedStore.from_settings(settings)
    try:
        await store.activate(name)
    finally:
        await store.close()


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
