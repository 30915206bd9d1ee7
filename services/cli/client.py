"""The client side of the command line: calls the gateway and prints what comes back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli import show
from services.cli.channel import open_channel, uses_tls
from services.cli.options import Server
from services.common.errors import InvalidRequestError
from services.common.records import RetrievalMode
from services.common.status import DETAILS_KEY, read_violations
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc

_CALLERS_FAULT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.ABORTED,
    }
)
_CONTROL_TIMEOUT_S = 120.0
_MOST = 2**32 - 1
"""The highest number a field of the message holds; the service has limits of its own."""


def ask_and_show(
    server: Server,
    question: str,
    *,
    mode: str = "adaptive",
    adapter: str = "",
    task: str = "",
    top_k: int = 1,
    max_new_tokens: int | None = None,
    budget_ms: int | None = None,
    timeout_s: float = 300.0,
    as_json: bool = False,
) -> int:
    """Asks one question and prints the answer. Returns the exit code."""
    if mode not in list(RetrievalMode):
        modes = ", ".join(RetrievalMode)
        raise InvalidRequestError.of_field("--mode", f"{mode!r} is not one of {modes}")
    numbers = {"top-k": top_k, "max-new-tokens": max_new_tokens, "budget-ms": budget_ms}
    for name, value in numbers.items():
        if value is not None and not 0 <= value <= _MOST:
            raise InvalidRequestError.of_field(f"--{name}", f"{value} is not between 0 and {_MOST}")
    request = pb.ReasonRequest(
        question=question,
        task=task,
        adapter=adapter,
        retrieval_mode=f"RETRIEVAL_MODE_{mode.upper()}",
        max_new_tokens=max_new_tokens,
        top_k=top_k,
        budget_ms=budget_ms,
    )

    def call(channel: grpc.Channel) -> None:
        stub = pb_grpc.ReasoningServiceStub(channel)
        if as_json:
            print_json(stub.Reason(request, timeout=timeout_s))
            return
        wrote = False
        for event in stub.ReasonStream(request, timeout=timeout_s):
            if event.HasField("delta"):
                wrote = True
                sys.stdout.write(event.delta.text)
                sys.stdout.flush()
            else:
                sys.stdout.write("\n\n" if wrote else "")
                show.response(event.response)

    return calling(server, call)


def show_health(server: Server, *, as_json: bool) -> int:
    """Prints readiness and what is served. Returns 0 when ready, otherwise 1."""
    serving = health_pb2.HealthCheckResponse.SERVING
    statuses: list[int] = []

    def call(channel: grpc.Channel) -> None:
        check = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=5.0
        )
        statuses.append(check.status)
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(check.status)
        described = None
        if check.status == serving:
            stub = pb_grpc.ReasoningServiceStub(channel)
            described = stub.Describe(pb.DescribeRequest(), timeout=10.0)
        if as_json:
            details = _as_dict(described) if described else {}
            typer.echo(json.dumps({"status": name, **details}, indent=2))
        else:
            show.health(name, described)

    return calling(server, call) or (0 if statuses == [serving] else 1)


def show_adapters(server: Server, *, as_json: bool) -> int:
    """Prints every adapter version. Returns the exit code."""

    def call(channel: grpc.Channel) -> None:
        stub = pb_grpc.AdapterServiceStub(channel)
        reply = stub.ListAdapters(pb.ListAdaptersRequest(), timeout=_CONTROL_TIMEOUT_S)
        if as_json:
            print_json(reply)
        else:
            show.adapters(reply.adapters)

    return calling(server, call)


def change_adapter(server: Server, method: str, adapter: str, *, as_json: bool) -> int:
    """Loads or unloads an adapter (`method`: LoadAdapter or UnloadAdapter)."""

    def call(channel: grpc.Channel) -> None:
        request = getattr(pb, f"{method}Request")(adapter=adapter)
        stub = pb_grpc.AdapterServiceStub(channel)
        reply = getattr(stub, method)(request, timeout=_CONTROL_TIMEOUT_S)
        if as_json:
            print_json(reply)
        else:
            show.adapters([reply.adapter])

    return calling(server, call)


def calling(server: Server, call: Callable[[grpc.Channel], None]) -> int:
    """Calls with a channel to the gateway. Returns the exit code."""
    try:
        with open_channel(server) as channel:
            call(channel)
    except grpc.RpcError as error:
        return _report(server, error)
    except BrokenPipeError:
        return 1
    return 0


def _report(server: Server, error: Any) -> int:
    """Prints a failed call. Returns 2 when the caller can mend it, otherwise 1."""
    code: grpc.StatusCode = error.code()
    violations: list[tuple[str, str]] = []
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            violations = read_violations(value)
    if violations:
        for field, description in violations:
            typer.echo(f"nesycd: {code.name}: {field}: {description}", err=True)
    elif code is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata():
        typer.echo(f"nesycd: {_silence(server, error.details() or '')}", err=True)
    else:
        typer.echo(f"nesycd: {code.name}: {error.details()}", err=True)
    return 2 if code in _CALLERS_FAULT else 1


def _silence(server: Server, details: str) -> str:
    """Why no call reached the service, as far as it can be told."""
    if uses_tls(server) and ("handshake" in details or "CERTIFICATE" in details.upper()):
        return f"no TLS connection to {server.address}: {details}"
    return f"nothing answers at {server.address}: start the service with `nesycd serve`"


def _as_dict(message: Message) -> dict[str, Any]:
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def print_json(message: Message) -> None:
    """Prints a message as JSON, absent fields filled in."""
    typer.echo(json.dumps(_as_dict(message), indent=2, ensure_ascii=False))
