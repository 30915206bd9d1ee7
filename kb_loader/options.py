"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would change; no more.")
]
Actor = Annotated[str, typer.Option(help="Who does it.", show_default="the login name")]
Reason = Annotated[str, typer.Option(help="Why.")]
