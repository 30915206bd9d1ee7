"""The client side of `nesycd entries` and `nesycd release`: calls, and prints what comes back."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import typer
from google.protobuf.message import Message

from services.cli import rows
from services.cli import show_knowledge as show
from services.cli.client import calling, print_json
from services.cli.options import EditOptions, Server
from services.common.errors import EditConflictError, InvalidRequestError
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.genproto.nesycd.v1 import knowledge_pb2_grpc as pb_grpc

_TIMEOUT_S = 60.0
_LONG_S = 600.0


def one_call(server: Server, rpc: str, *, as_json: bool, **fields: object) -> int:
    """Makes one call and prints the reply. Returns the exit code.

    Args:
        server: the gateway.
        rpc: its name; `show_knowledge` has a function for its reply.
        as_json: for programs.
        fields: of the request.
    """

    def call(channel: grpc.Channel) -> None:
        _print(_call(channel, rpc, **fields), as_json=as_json)

    return calling(server, call)


def edit(rpc: str, options: EditOptions, **fields: object) -> int:
    """Makes one call that edits and prints the reply. Returns the exit code."""
    author = _author(options)
    return one_call(options, rpc, as_json=options.as_json, edit=author, **fields)


def show_entry(server: Server, entry_id: str, revision: int | None, *, as_json: bool) -> int:
    """Prints an entry; as JSON the row that `update` takes. Returns the exit code."""

    def call(channel: grpc.Channel) -> None:
        reply = _call(channel, "GetEntry", id=entry_id, revision=revision)
        if as_json:
            typer.echo(rows.write_row(reply.entry.entry))
        else:
            show.reply(reply)

    return calling(server, call)


def create(file: str, options: EditOptions) -> int:
    """Creates the entries of a file. Returns the exit code."""
    author = _author(options)
    entries = rows.read_rows(file)

    def call(channel: grpc.Channel) -> None:
        for entry in entries:
            reply = _call(channel, "CreateEntry", entry=entry, edit=author)
            _print(reply, as_json=options.as_json)

    return calling(options, call)


def update(target: str, settings: Sequence[str], *, options: EditOptions) -> int:
    """Updates the entries of a file, or with `settings` fields of one entry.

    A row of a file says with its revision what it was made from, so that an edit by somebody
    else meanwhile is not lost.
    """
    author = _author(options)
    entries = [] if settings else rows.read_rows(target)

    def call(channel: grpc.Channel) -> None:
        if settings:
            now = _call(channel, "GetEntry", id=target).entry
            entries.append(rows.with_fields(now.entry, list(settings)))
        for entry in entries:
            now = _call(channel, "GetEntry", id=entry.id).entry
            if entry.revision != now.entry.revision:
                raise EditConflictError(
                    f"{entry.id} is at revision {now.entry.revision}, yours was made from "
                    f"{entry.revision}: get it again"
                )
            reply = _call(channel, "UpdateEntry", entry=entry, etag=now.etag, edit=author)
            _print(reply, as_json=options.as_json)

    return calling(options, call)


def change(rpc: str, entry_ids: Sequence[str], *, options: EditOptions, **fields: object) -> int:
    """Makes one edit to each entry, passing on the etag read first. Returns the exit code."""
    author = _author(options)

    def call(channel: grpc.Channel) -> None:
        for entry_id in entry_ids:
            etag = _call(channel, "GetEntry", id=entry_id).entry.etag
            reply = _call(channel, rpc, id=entry_id, etag=etag, edit=author, **fields)
            _print(reply, as_json=options.as_json)

    return calling(options, call)


def create_release(name: str, base: str, *, options: EditOptions, activate: bool) -> int:
    """Makes a release, and activates it where that is wanted. Returns the exit code."""
    author = _author(options)

    def call(channel: grpc.Channel) -> None:
        reply = _call(channel, "CreateRelease", name=name, base=base, edit=author)
        if activate:
            reply = _call(channel, "ActivateRelease", name=name, edit=author)
        _print(reply, as_json=options.as_json)

    return calling(options, call)


def _author(options: EditOptions) -> dict[str, str]:
    """Who edits and why; the login name where no actor is named."""
    actor = options.actor
    if not actor:
        try:
            actor = getpass.getuser()
        except (KeyError, OSError):
            raise InvalidRequestError.of_field(
                "--actor", "say who edits; this login has no name"
            ) from None
    return {"actor": actor, "reason": options.reason, "batch": options.batch}


def _call(channel: grpc.Channel, rpc: str, **fields: Any) -> Any:
    request = getattr(pb, f"{rpc}Request")(**fields)
    stub: Callable[..., Any] = getattr(pb_grpc.KnowledgeServiceStub(channel), rpc)
    slow = rpc in {"CreateRelease", "PreviewRelease", "FindDuplicateEntries"}
    return stub(request, timeout=_LONG_S if slow else _TIMEOUT_S)


def _print(reply: Message, *, as_json: bool) -> None:
    if as_json:
        print_json(reply)
    else:
        show.reply(reply)
