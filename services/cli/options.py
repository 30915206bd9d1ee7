"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_ADDRESS = "127.0.0.1:50051"

Address = Annotated[
    str, typer.Option(help="Host and port of the gateway.", envvar="NESYCD_ADDRESS")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Actor = Annotated[str, typer.Option(help="Who edits.", show_default="the login name")]
Reason = Annotated[str, typer.Option(help="Why.")]
Batch = Annotated[str, typer.Option(help="Name for changes to be reverted together.")]
