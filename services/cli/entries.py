"""`nesycd entries`: knowledge entries found and edited over gRPC. Thin: parse, call, print."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.options import EditOptions, Json, Server, with_edit_options, with_server

app = typer.Typer(
    help="Find and edit knowledge entries of a running service.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Id = Annotated[str, typer.Argument(help="Id of the entry.", metavar="ID")]
_Ids = Annotated[list[str], typer.Argument(help="Ids of the entries.", metavar="ID...")]
_Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help="Only note, rule or fact. May be repeated.")
]
_Task = Annotated[str, typer.Option(help="Only entries of this task.")]


@app.command(epilog="Example: nesycd entries find percent --kind note --status accepted")
@with_server
def find(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Words that stand in the entry's id, question or text."),
    ] = None,
    *,
    kind: _Kinds = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help="Only draft, accepted, rejected or retired. May be repeated."),
    ] = None,
    task: _Task = "",
    batch: Annotated[str, typer.Option(help="Only those last changed in this batch.")] = "",
    page_size: Annotated[int, typer.Option(min=1, max=200, help="Most entries to list.")] = 50,
    page_token: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    server: Server,
    as_json: Json = False,
) -> None:
    """List entries by id, drafts and retired ones too."""
    from services.cli.knowledge_client import one_call

    code = one_call(
        server,
        "FindEntries",
        text=" ".join(words or ()),
        kinds=kind,
        statuses=status,
        task=task,
        batch=batch,
        page_size=page_size,
        page_token=page_token,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command(epilog='Example: nesycd entries search "What is 25 percent of 80?"')
@with_server
def search(
    question: Annotated[str, typer.Argument(help="A question, as it would be asked.")],
    *,
    top_k: Annotated[int, typer.Option(min=1, max=50, help="Most entries to rank.")] = 10,
    related: Annotated[
        int, typer.Option(min=0, max=64, help="Most rules and facts that the graph adds.")
    ] = 0,
    kind: _Kinds = None,
    task: _Task = "",
    server: Server,
    as_json: Json = False,
) -> None:
    """Show what retrieval finds in the active release for a question, with scores and ranks."""
    from services.cli.knowledge_client import one_call

    code = one_call(
        server,
        "SearchEntries",
        question=question,
        top_k=top_k,
        max_related=related,
        kinds=kind,
        task=task,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command(epilog="Example: nesycd entries get percent-1 --json > row.json")
@with_server
def get(
    entry_id: _Id,
    *,
    revision: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="Which one. Unset: the newest.")
    ] = None,
    server: Server,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the row that `update` takes.")
    ] = False,
) -> None:
    """Show one entry."""
    from services.cli.knowledge_client import show_entry

    raise typer.Exit(show_entry(server, entry_id, revision, as_json=as_json))


@app.command(epilog="Example: nesycd entries history percent-1")
@with_server
def history(entry_id: _Id, *, server: Server, as_json: Json = False) -> None:
    """Tell who changed an entry, when, why, and what."""
    from services.cli.knowledge_client import one_call

    raise typer.Exit(one_call(server, "GetEntryHistory", id=entry_id, as_json=as_json))


@app.command(epilog="Example: nesycd entries duplicates --min-similarity 0.95")
@with_server
def duplicates(
    *,
    min_similarity: Annotated[
        float, typer.Option(min=0.01, max=1, help="Least cosine similarity of a pair.")
    ] = 0.9,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most pairs.")] = 50,
    kind: _Kinds = None,
    task: _Task = "",
    server: Server,
    as_json: Json = False,
) -> None:
    """List pairs of entries that say nearly the same; `merge` makes one of them."""
    from services.cli.knowledge_client import one_call

    code = one_call(
        server,
        "FindDuplicateEntries",
        min_similarity=min_similarity,
        limit=limit,
        kinds=kind,
        task=task,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command(epilog="Example: nesycd entries create row.json --reason 'seen in class'")
@with_edit_options
def create(
    file: Annotated[
        str, typer.Argument(help="Rows as in a dump, one or several; - for standard input.")
    ],
    *,
    options: EditOptions,
) -> None:
    """Add entries, as drafts."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.create(file, options))


@app.command(epilog="Example: nesycd entries update percent-1 --set task=percentages")
@with_edit_options
def update(
    target: Annotated[
        str,
        typer.Argument(help="File of rows, - for standard input; with --set an entry's id."),
    ],
    *,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Set a field of a row; lists as JSON, or one text. May be repeated.",
        ),
    ] = None,
    options: EditOptions,
) -> None:
    """Change entries; they are drafts until they are reviewed.

    A row of a file has to name the revision it was made from, as `get --json` prints it.
    """
    from services.cli import knowledge_client as client

    raise typer.Exit(client.update(target, settings or [], options=options))


@app.command(epilog="Example: nesycd entries review percent-1 --accept --reason checked")
@with_edit_options
def review(
    entry_ids: _Ids,
    *,
    accept: Annotated[
        bool, typer.Option("--accept/--reject", help="Into the next release, or not.")
    ],
    options: EditOptions,
) -> None:
    """Accept or reject drafts."""
    from services.cli import knowledge_client as client

    verdict = "accepted" if accept else "rejected"
    raise typer.Exit(client.change("ReviewEntry", entry_ids, options=options, verdict=verdict))


@app.command(epilog="Example: nesycd entries retire percent-1 --reason outdated")
@with_edit_options
def retire(entry_ids: _Ids, *, options: EditOptions) -> None:
    """Take entries out of the releases to come."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.change("RetireEntry", entry_ids, options=options))


@app.command(epilog="Example: nesycd entries revert percent-1 --to 2")
@with_edit_options
def revert(
    entry_id: _Id,
    *,
    to: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="Revision to go back to.")],
    options: EditOptions,
) -> None:
    """Make an entry what it was in an earlier revision."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.change("RevertEntry", [entry_id], options=options, revision=to))


@app.command("revert-batch", epilog="Example: nesycd entries revert-batch import-7")
@with_edit_options
def revert_batch(
    undone: Annotated[str, typer.Argument(help="Name of the batch to undo.", metavar="BATCH")],
    *,
    options: EditOptions,
) -> None:
    """Undo all changes of a batch, or none if an entry was changed since."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.edit("RevertBatch", options, batch=undone))


@app.command(epilog="Example: nesycd entries merge percent-2 --into percent-1")
@with_edit_options
def merge(
    entry_id: _Id,
    *,
    into: Annotated[str, typer.Option(help="Id of the entry that stays.", metavar="ID")],
    options: EditOptions,
) -> None:
    """Retire an entry in favour of another that says the same."""
    from services.cli import knowledge_client as client

    raise typer.Exit(client.change("MergeEntries", [entry_id], options=options, into=into))


@app.command(epilog="Example: nesycd entries outcome percent-1 percent-2 --right")
@with_server
def outcome(
    entry_ids: _Ids,
    *,
    right: Annotated[bool, typer.Option("--right/--wrong", help="What the answer was.")],
    server: Server,
    as_json: Json = False,
) -> None:
    """Count a right or wrong answer for the entries that were used for it."""
    from services.cli.knowledge_client import one_call

    said = "right" if right else "wrong"
    raise typer.Exit(
        one_call(server, "RecordOutcome", entry_ids=entry_ids, outcome=said, as_json=as_json)
    )
