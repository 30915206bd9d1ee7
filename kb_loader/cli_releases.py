"""The part of `nesycd kb` that is about releases in the store. Thin: parse, call, print."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from typing import Annotated

import typer

from kb_loader.options import Actor, DryRun, Json, Reason

app = typer.Typer(rich_markup_mode=None)

_Name = Annotated[str, typer.Argument(help="Name of the release.", metavar="NAME")]


@app.command(epilog="Example: nesycd kb releases --json")
def releases(*, as_json: Json = False) -> None:
    """List the releases in the store, with their parents; the active one is marked."""
    from kb_loader import release_commands

    release_commands.releases(as_json=as_json)


@app.command(epilog="Example: nesycd kb release 2026-05-02 --dry-run")
def release(
    name: _Name,
    *,
    base: Annotated[
        str, typer.Option(help="Release to start from. Left out: the active one.")
    ] = "",
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Make a release of another one and all accepted edits; it is not activated."""
    from kb_loader import release_commands

    release_commands.release(
        name, base=base, dry_run=dry_run, reason=reason, actor=actor, as_json=as_json
    )


@app.command(epilog="Example: nesycd kb activate 2026-05-01 --reason 'reviewed by Ann'")
def activate(
    name: _Name,
    *,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Make a loaded release the one that searches see; running services follow by themselves."""
    from kb_loader import release_commands

    release_commands.activate(name, dry_run=dry_run, reason=reason, actor=actor, as_json=as_json)


@app.command(epilog="Example: nesycd kb rollback --reason 'answers got worse'")
def rollback(
    *,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Go back to the release that was active before; again, to the one before that."""
    from kb_loader import release_commands

    release_commands.rollback(dry_run=dry_run, reason=reason, actor=actor, as_json=as_json)


@app.command(epilog="Example: nesycd kb stats")
def stats(*, as_json: Json = False) -> None:
    """Count entries, releases, edits and uses."""
    from kb_loader import release_commands

    release_commands.stats(as_json=as_json)


@app.command(epilog="Example: nesycd kb migrate --dry-run")
def migrate(*, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Bring the store's tables or indexes up to date; says which changes were made before."""
    from kb_loader import release_commands

    release_commands.migrate(dry_run=dry_run, as_json=as_json)
