"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Signature, signature
from typing import Annotated, Any

import typer

DEFAULT_ADDRESS = "127.0.0.1:50051"

Address = Annotated[
    str, typer.Option(help="Host and port of the gateway.", envvar="NESYCD_ADDRESS")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOptions:
    """What every command that edits asks for; `with_edit_options` adds them to it."""

    actor: Annotated[str, typer.Option(help="Who edits.", show_default="the login name")] = ""
    reason: Annotated[str, typer.Option(help="Why.")] = ""
    batch: Annotated[str, typer.Option(help="Name for changes to be reverted together.")] = ""
    address: Address = DEFAULT_ADDRESS
    as_json: Json = False


_EDIT_OPTIONS = signature(EditOptions, eval_str=True).parameters


def with_edit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of an edit, after its own; it gets them as `options`."""

    @wraps(command)
    def run(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in _EDIT_OPTIONS}
        command(**arguments, options=EditOptions(**values))

    own = dict(signature(command, eval_str=True).parameters)
    del own["options"]
    # typer makes the command line from this.
    run.__signature__ = Signature([*own.values(), *_EDIT_OPTIONS.values()])  # type: ignore[attr-defined]
    return run
