"""`nesycd release`: knowledge releases of a running service. Thin: parse, call, print."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.options import EditOptions, Json, Server, with_edit_options, with_server

app = typer.Typer(
    help="Make, activate and roll back knowledge releases of a running service.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Base = Annotated[str, typer.Option(help="Release to start from. Unset: the active one.")]
_Name = Annotated[str, typer.Argument(help="Name of the release.", metavar="NAME")]


@app.command("list", epilog="Example: nesycd release list")
@with_server
def list_releases(*, server: Server, as_json: Json = False) -> None:
    """List every release; the active one is marked."""
    from services.cli.knowledge_client import one_call

    raise typer.Exit(one_call(server, "ListReleases", as_json=as_json))


@app.command(epilog="Example: nesycd release preview")
@with_server
def preview(
    *,
    base: _Base = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most changes to list.")] = 200,
    server: Server,
    as_json: Json = False,
) -> None:
    """Show what a release made now would change."""
    from services.cli.knowledge_client import one_call

    raise typer.Exit(one_call(server, "PreviewRelease", base=base, limit=limit, as_json=as_json))


@app.command(epilog="Example: nesycd release create 2026-05-02 --activate")
@with_edit_options
def create(
    name: _Name,
    *,
    base: _Base = "",
    activate: Annotated[bool, typer.Option("--activate", help="And activate it.")] = False,
    options: EditOptions,
) -> None:
    """Make a release of another one and all edits accepted or retired since."""
    from services.cli import knowledge_client as client

    code = client.create_release(name, base, options=options, activate=activate)
    raise typer.Exit(code)


@app.command(epilog="Example: nesycd release activate 2026-05-02")
@with_edit_options
def activate(name: _Name, *, options: EditOptions) -> None:
    """Make a release the one that answers use."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.edit("ActivateRelease", options, name=name))


@app.command(epilog="Example: nesycd release rollback --reason 'worse answers'")
@with_edit_options
def rollback(*, options: EditOptions) -> None:
    """Go back to the release that was active before."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.edit("RollBackRelease", options))
