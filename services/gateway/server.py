"""The gateway process: one grpc.aio server, health, reflection, metrics, orderly end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any
from wsgiref.simple_server import WSGIServer

import grpc
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, start_http_server

from services.common.errors import ConfigurationError
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.gateway.edge import SERVICES, Edge
from services.gateway.upstream import Upstream

_NAMES = tuple(service.full_name for service in SERVICES)

log = structlog.get_logger()


class _MethodPool:
    """The default descriptor pool, which also finds methods: ghz asks for them by name."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802
        """The file that declares a symbol, or the service of a method."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindFileContainingSymbol(symbol.rpartition(".")[0])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class Gateway:
    """The public edge of one upstream.

    `credentials` and `interceptors` are the seam for TLS and authentication.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._settings = settings.gateway
        self._metrics = Metrics(CollectorRegistry())
        self._upstream = Upstream(settings.gateway.upstream)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=tuple(interceptors), options=_options(settings.gateway.max_message_bytes)
        )
        edge = Edge(settings, self._upstream, self._metrics)
        self._server.add_generic_rpc_handlers(edge.handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME),
            self._server,
            pool=_MethodPool(),
        )
        self.port = self._bind(credentials)
        self._watch: asyncio.Task[None] | None = None
        self._metrics_server, self.metrics_port = self._serve_metrics()

    async def start(self) -> None:
        """Starts to accept calls; health says NOT_SERVING until the upstream is ready."""
        await self._report(False)
        await self._server.start()
        self._watch = asyncio.create_task(
            self._upstream.watch(self._settings.health_interval_s, self._report)
        )
        log.info("gateway_listening", port=self.port, metrics_port=self.metrics_port)

    async def stop(self) -> None:
        """Tells health checks, refuses new calls, lets running ones end within `drain_s`."""
        if self._watch is not None:
            self._watch.cancel()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._settings.drain_s)
        await self._upstream.close()
        await asyncio.to_thread(self._metrics_server.shutdown)
        self._metrics_server.server_close()
        log.info("gateway_stopped")

    async def _report(self, ready: bool) -> None:
        self._metrics.upstream_up.set(ready)
        status = health_pb2.HealthCheckResponse
        for service in ("", *_NAMES):
            await self._health.set(service, status.SERVING if ready else status.NOT_SERVING)

    def _bind(self, credentials: grpc.ServerCredentials | None) -> int:
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError:
            raise ConfigurationError(
                f"gateway.port: cannot listen on {address}; is another program using it? "
                f"Choose another with NESYCD_GATEWAY__PORT."
            ) from None

    def _serve_metrics(self) -> tuple[WSGIServer, int]:
        address, port = self._settings.host, self._settings.metrics_port
        try:
            server, _ = start_http_server(port, addr=address, registry=self._metrics.registry)
        except OSError as error:
            raise ConfigurationError(
                f"gateway.metrics_port: cannot listen on {address}:{port}: {error.strerror}. "
                f"Choose another with NESYCD_GATEWAY__METRICS_PORT."
            ) from None
        return server, server.server_port


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.so_reuseport", 0),
        # A long decode is a silent stream: pings on it must not count as abuse.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


async def serve(settings: Settings) -> None:
    """Runs a gateway until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    gateway = Gateway(settings)
    await gateway.start()
    await ended.wait()
    await gateway.stop()
