"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_ADDRESS = "127.0.0.1:50051"

Address = Annotated[
    str, typer.Option(help="Host and port of the gateway.", envvar="NESYCD_ADDRESS")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the gateway is and how it is spoken to; `with_server` adds these to a command."""

    address: Address = DEFAULT_ADDRESS
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", help="Speak TLS, trusting the system's authorities.", envvar="NESYCD_TLS"
        ),
    ] = False
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            help="PEM file with the authority to trust instead. Turns TLS on.",
            envvar="NESYCD_TLS_CA",
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            help="PEM file with our own certificate, where the gateway asks for one.",
            envvar="NESYCD_TLS_CERTIFICATE",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        typer.Option(help="PEM file with that certificate's key.", envvar="NESYCD_TLS_KEY"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOptions(Server):
    """What every command that edits asks for; `with_edit_options` adds them to it."""

    actor: Annotated[str, typer.Option(help="Who edits.", show_default="the login name")] = ""
    reason: Annotated[str, typer.Option(help="Why.")] = ""
    batch: Annotated[str, typer.Option(help="Name for changes to be reverted together.")] = ""
    as_json: Json = False


def with_server(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that name the gateway, after its own; it gets a `server`."""
    return _with(Server, "server", command)


def with_edit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of an edit, after its own; it gets them as `options`."""
    return _with(EditOptions, "options", command)


def _with(options: type, name: str, command: Callable[..., None]) -> Callable[..., None]:
    added = signature(options, eval_str=True).parameters

    @wraps(command)
    def run(**arguments: Any) -> None:
        values = {one: arguments.pop(one) for one in added}
        command(**arguments, **{name: options(**values)})

    own = dict(signature(command, eval_str=True).parameters)
    del own[name]
    # typer makes the command line from this.
    run.__signature__ = Signature([*own.values(), *added.values()])  # type: ignore[attr-defined]
    return run
