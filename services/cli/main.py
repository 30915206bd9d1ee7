"""The commands, thin: parse, call, print. Each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from services.cli import entries, releases
from services.cli.options import Json, Server, with_server
from services.common.errors import (
    ConfigurationError,
    EditConflictError,
    EditRefusedError,
    InvalidRequestError,
    NesycdError,
    ReleaseNotFoundError,
)

_MENDABLE = (
    ConfigurationError,
    EditConflictError,
    EditRefusedError,
    InvalidRequestError,
    ReleaseNotFoundError,
)

_INTERRUPTED = 130

SAMPLE_QUESTION = (
    'Is the following sentence plausible? "Katie Ledecky was caught offside near the penalty box."'
)

app = typer.Typer(
    name="nesycd",
    help="A small student model, an editable knowledge base, one gRPC call.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
adapters = typer.Typer(
    help="List, load and unload the student's LoRA adapters.", no_args_is_help=True
)
app.add_typer(adapters, name="adapters")
app.add_typer(entries.app, name="entries")
app.add_typer(releases.app, name="release")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("nesycd"))
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: nesycd setup")
def setup() -> None:
    """Fetch the student model and the text encoder into the cache; quick when they are there."""
    from services.cli.progress import Steps
    from services.cli.serve import prepare_models
    from services.common.settings import load_settings

    with Steps() as steps:
        prepare_models(load_settings(), steps)


@app.command(epilog="Example: NESYCD_STUDENT__MODEL=./my-model nesycd serve --port 50051")
def serve(
    *,
    port: Annotated[
        int | None, typer.Option(help="Public gRPC port (setting gateway.port).")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Hugging Face id or folder (setting student.model).")
    ] = None,
    adapters_dir: Annotated[
        str | None, typer.Option(help="Folder of LoRA adapters (setting student.adapters_dir).")
    ] = None,
    ask_question: Annotated[
        str | None, typer.Option("--ask", help="Ask this question as soon as it serves.")
    ] = None,
    ask_sample: Annotated[
        bool, typer.Option("--ask-sample", help="Ask a sample question as soon as it serves.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the answer, or at once without a question.")
    ] = False,
) -> None:
    """Serve the student and the knowledge base, until Ctrl-C.

    Every setting is an environment variable; docs/settings.md lists them.
    """
    from services.cli.serve import run
    from services.common.settings import load_settings

    chosen = {
        "NESYCD_GATEWAY__PORT": port,
        "NESYCD_STUDENT__MODEL": model,
        "NESYCD_STUDENT__ADAPTERS_DIR": adapters_dir,
    }
    os.environ.update({name: str(value) for name, value in chosen.items() if value is not None})
    question = SAMPLE_QUESTION if ask_sample else ask_question
    raise typer.Exit(run(load_settings(), question=question, once=once))


@app.command(epilog="Example: NESYCD_GATEWAY__UPSTREAM=serve:9000 nesycd gateway")
def gateway() -> None:
    """Run only the public gRPC edge, before a Ray Serve that runs elsewhere."""
    import asyncio

    from services.common import logs
    from services.common.settings import load_settings
    from services.gateway.server import serve as serve_gateway

    settings = load_settings()
    logs.configure(settings)
    asyncio.run(serve_gateway(settings))


@app.command(epilog='Example: nesycd ask "How many minutes are 2.5 hours?" --mode always')
@with_server
def ask(
    question: Annotated[str, typer.Argument(help="The question, with its options if any.")],
    *,
    mode: Annotated[
        str, typer.Option(help="When to use knowledge: adaptive, always or never.")
    ] = "adaptive",
    adapter: Annotated[str, typer.Option(help="LoRA adapter, NAME or NAME@VERSION.")] = "",
    task: Annotated[str, typer.Option(help="Only knowledge of this task.")] = "",
    top_k: Annotated[int, typer.Option(help="Most knowledge entries to use.")] = 1,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Most tokens to write; unset: the service's default.")
    ] = None,
    budget_ms: Annotated[
        int | None, typer.Option(help="Time for the best answer so far, in milliseconds.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(help="Longest wait, in seconds.")] = 300.0,
    server: Server,
    as_json: Json = False,
) -> None:
    """Ask one question; the answer appears as it is written."""
    from services.cli.client import ask_and_show

    raise typer.Exit(
        ask_and_show(
            server,
            question,
            mode=mode,
            adapter=adapter,
            task=task,
            top_k=top_k,
            max_new_tokens=max_new_tokens,
            budget_ms=budget_ms,
            timeout_s=timeout_s,
            as_json=as_json,
        )
    )


@app.command(epilog="Example: nesycd health --address gateway.example:50051")
@with_server
def health(*, server: Server, as_json: Json = False) -> None:
    """Say whether the service is ready, and what it serves. Exit code 1 when it is not."""
    from services.cli.client import show_health

    raise typer.Exit(show_health(server, as_json=as_json))


@adapters.command("list", epilog="Example: nesycd adapters list")
@with_server
def list_adapters(*, server: Server, as_json: Json = False) -> None:
    """List every adapter version, with the reason for each refusal."""
    from services.cli.client import show_adapters

    raise typer.Exit(show_adapters(server, as_json=as_json))


@adapters.command("load", epilog="Example: nesycd adapters load bbh@v2")
@with_server
def load_adapter(
    adapter: Annotated[str, typer.Argument(help="NAME (newest version) or NAME@VERSION.")],
    *,
    server: Server,
    as_json: Json = False,
) -> None:
    """Bring an adapter into the engine before the first request needs it."""
    from services.cli.client import change_adapter

    raise typer.Exit(change_adapter(server, "LoadAdapter", adapter, as_json=as_json))


@adapters.command("unload", epilog="Example: nesycd adapters unload bbh@v1")
@with_server
def unload_adapter(
    adapter: Annotated[str, typer.Argument(help="NAME (newest version) or NAME@VERSION.")],
    *,
    server: Server,
    as_json: Json = False,
) -> None:
    """Remove an adapter from the engine; requests that name it are refused."""
    from services.cli.client import change_adapter

    raise typer.Exit(change_adapter(server, "UnloadAdapter", adapter, as_json=as_json))


def main() -> None:
    """Runs the command line. A known error is one line; exit code 2 if the caller can mend it."""
    try:
        for point in entry_points(group="nesycd.commands"):
            app.add_typer(point.load(), name=point.name)
        app()
    except KeyboardInterrupt:  # while a command's modules are imported
        sys.exit(_INTERRUPTED)
    except _MENDABLE as error:
        typer.echo(f"nesycd: {error.message}", err=True)
        sys.exit(2)
    except NesycdError as error:
        typer.echo(f"nesycd: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
