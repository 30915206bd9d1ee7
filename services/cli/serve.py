"""`nesycd serve`: models, knowledge, Ray Serve and the gateway, started in order and ended."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services import cluster
from services.cli import show
from services.cli.progress import Steps
from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.settings import Settings
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc

_READY_TIMEOUT_S = 60.0


class _Ended(Exception):  # noqa: N818 - a request to end, not a fault
    """SIGTERM or SIGINT arrived."""


def prepare_models(settings: Settings, steps: Steps) -> None:
    """Brings the student and the encoder into the cache.

    Raises: ConfigurationError when one is missing, broken or cannot be fetched.
    """
    from services.knowledge.embedder import prepare_embedder  # noqa: PLC0415 - numpy
    from services.student.models import prepare_student  # noqa: PLC0415

    with steps.step("student model"):
        prepare_student(settings, steps.say)
    with steps.step("text encoder"):
        prepare_embedder(settings)


def run(settings: Settings, *, question: str | None, once: bool) -> int:
    """Serves until Ctrl-C; asks `question` first. Returns the exit code."""
    _catch_signals()
    try:
        with Steps() as steps:
            prepare_models(settings, steps)
            with steps.step("knowledge base"):
                steps.say(asyncio.run(_knowledge(settings)))
            # The edge first: it is up, and says NOT_SERVING, while the models load.
            with _gateway(settings) as gateway, _application(settings, steps):
                address = f"{settings.gateway.host}:{settings.gateway.port}"
                with steps.step("gateway"):
                    _wait_ready(settings, address, gateway)
                steps.say(f"serving on {address}")
                try:
                    return _serve(settings, gateway, steps, question=question, once=once)
                finally:
                    _drain(gateway, settings)  # before what it forwards to
    except _Ended:
        return 0


def _catch_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _Ended


async def _knowledge(settings: Settings) -> str:
    """Says what is in use. A server that is down stops nothing; a store without knowledge does."""
    from services.knowledge.factory import open_knowledge_base  # noqa: PLC0415 - numpy

    base = open_knowledge_base(settings)
    try:
        await base.check()
        release = await base.active_release()
    except KnowledgeUnavailableError as error:
        if settings.knowledge.store == "embedded":
            raise
        return f"{error.message} Answers are made without knowledge until it is back."
    finally:
        await base.close()
    if release is None:
        place = (
            f"knowledge.path: {settings.knowledge_path}"
            if settings.knowledge.store == "embedded"
            else f"knowledge.neo4j_uri: {settings.knowledge.neo4j_uri}"
        )
        raise ConfigurationError(
            f"{place} holds no active release; "
            f"load one with `nesycd kb load DIR`, for instance kb_loader/sample"
        )
    return f"knowledge release {release.name}"


@contextmanager
def _application(settings: Settings, steps: Steps) -> Iterator[None]:
    try:
        with steps.step("Ray Serve: reasoner, student, knowledge base"):
            cluster.start(settings)
        _catch_signals()  # Ray has put handlers of its own in place
        yield
    finally:
        with steps.step("stopping"):
            cluster.stop()


@contextmanager
def _gateway(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The edge as a process of its own, so that the models' process cannot slow it."""
    environment = os.environ | {"NESYCD_GATEWAY__UPSTREAM": f"127.0.0.1:{settings.serve.grpc_port}"}
    # Its own session: Ctrl-C reaches this process only, which ends the gateway in order.
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli.main", "gateway"],
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _drain(process, settings)


def _drain(gateway: subprocess.Popen[bytes], settings: Settings) -> None:
    """Ends the gateway, letting running calls end; does nothing when it has ended."""
    gateway.terminate()
    try:
        gateway.wait(settings.gateway.shutdown_delay_s + settings.gateway.drain_s + 5)
    except subprocess.TimeoutExpired:
        gateway.kill()


def _wait_ready(settings: Settings, address: str, gateway: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if gateway.poll() is not None:
            raise ConfigurationError("the gateway ended at once; its own message is above")
        if _is_ready(settings, address):
            return
        time.sleep(0.1)
    raise ConfigurationError(f"the service on {address} was not ready in {_READY_TIMEOUT_S:.0f} s")


def _is_ready(settings: Settings, address: str) -> bool:
    """Whether the gateway says that it serves.

    Under TLS its metrics are asked: its port may want a certificate that we do not have.
    """
    if settings.gateway.tls_certificate is None:
        try:
            with grpc.insecure_channel(address) as channel:
                check = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=2.0
                )
        except grpc.RpcError:
            return False
        return bool(check.status == health_pb2.HealthCheckResponse.SERVING)
    page = http.client.HTTPConnection(
        settings.gateway.inner_host, settings.gateway.metrics_port, timeout=2.0
    )
    try:
        page.request("GET", "/metrics")
        return b"\nnesycd_upstream_up 1.0" in page.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        page.close()


def _serve(
    settings: Settings,
    gateway: subprocess.Popen[bytes],
    steps: Steps,
    *,
    question: str | None,
    once: bool,
) -> int:
    address = f"{settings.gateway.host}:{settings.gateway.port}"
    if question:
        asked = address
        if settings.gateway.tls_certificate is not None:
            asked = f"127.0.0.1:{settings.serve.grpc_port}"  # as `_is_ready` does without
        with grpc.insecure_channel(asked) as channel, steps.step("asking"):
            stub = pb_grpc.ReasoningServiceStub(channel)
            reply = stub.Reason(pb.ReasonRequest(question=question), timeout=300.0)
        show.response(reply, question=question)
        sys.stdout.flush()
    if once:
        return 0
    steps.say(f'ask with: nesycd ask "..." --address {address}    stop with: Ctrl-C')
    status = gateway.wait()
    steps.say(f"the gateway ended with exit code {status}")
    return 1
