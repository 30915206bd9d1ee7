"""`nesycd kb`: knowledge dumps in and out of the store. Thin: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kb_loader import cli_releases
from kb_loader.options import Actor, DryRun, Json, Reason

app = typer.Typer(
    help="Check, load, compare and export knowledge, and choose the release that is used.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="Folder of the dump.", metavar="DIR")]
_Source = "RELEASE|DIR"


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
    parent: Annotated[
        str | None, typer.Option(help="Release it was made from. Left out: as it was, or none.")
    ] = None,
    tidy: Annotated[
        bool, typer.Option("--tidy", help="First sort the entries and spell them as export does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the entries of a folder and write its manifest.json, as after an edit by hand."""
    from kb_loader import dump_commands

    dump_commands.manifest(
        folder,
        release,
        description=description,
        provenance=provenance,
        parent=parent,
        tidy=tidy,
        as_json=as_json,
    )


@app.command(epilog="Example: nesycd kb verify ./my-notes")
def verify(folder: Folder, *, as_json: Json = False) -> None:
    """Check a dump without loading it: every wrong line, field and value is named."""
    from kb_loader import dump_commands

    dump_commands.verify(folder, as_json=as_json)


@app.command(epilog="Example: nesycd kb load ./my-notes --reason 'corrected the units'")
def load(
    folder: Folder,
    *,
    activate: Annotated[
        bool, typer.Option(help="Make it the release that searches see, once it is loaded.")
    ] = True,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Check a dump, embed it and store it as a release. Repeated, it changes nothing.

    A load that was broken off goes on where it was.
    """
    from kb_loader import dump_commands

    dump_commands.load(
        folder, activate=activate, dry_run=dry_run, reason=reason, actor=actor, as_json=as_json
    )


@app.command(epilog="Example: nesycd kb export ./copy --release 2026-05-01")
def export(
    folder: Annotated[Path, typer.Argument(help="New folder to write the dump to.", metavar="DIR")],
    *,
    release: Annotated[str, typer.Option(help="Which one. Left out: the active one.")] = "",
    compress: Annotated[
        bool, typer.Option("--compress", help="Write .jsonl.gz instead of .jsonl.")
    ] = False,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Write vectors.npy too, so that a load is quick.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a release as a dump; that of a loaded dump is the same, byte for byte."""
    from kb_loader import dump_commands

    dump_commands.export(
        folder, release=release, compress=compress, vectors=vectors, as_json=as_json
    )


@app.command(epilog="Example: nesycd kb diff 2026-05-01 ./my-notes")
def diff(
    old: Annotated[str, typer.Argument(help="Release, or folder of a dump.", metavar=_Source)],
    new: Annotated[str, typer.Argument(help="What to compare with it.", metavar=_Source)],
    *,
    summary: Annotated[bool, typer.Option("--summary", help="Print only the counts.")] = False,
    as_json: Json = False,
) -> None:
    """Show the entries added, removed and changed, field by field."""
    from kb_loader import dump_commands

    dump_commands.diff(old, new, summary=summary, as_json=as_json)


@app.command(epilog="Example: nesycd kb check --strict")
def check(
    source: Annotated[
        str,
        typer.Argument(
            help="Release, or folder of a dump. Left out: the active release.", metavar=_Source
        ),
    ] = "",
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 for warnings too, not only for errors.")
    ] = False,
    similarity: Annotated[
        float,
        typer.Option(min=0, max=1, help="Least cosine similarity of notes that are near-alike."),
    ] = 0.95,
    as_json: Json = False,
) -> None:
    """Look for contradictions, duplicates, leaks, harmful entries and more. Exit code 1 for errors.

    Use counts and redirects are looked at for a release, not for a folder.
    """
    from kb_loader import check_command

    raise typer.Exit(
        check_command.check(source, strict=strict, similarity=similarity, as_json=as_json)
    )


app.add_typer(cli_releases.app)
