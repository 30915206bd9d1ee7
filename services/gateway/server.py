"""The gateway process: one grpc.aio server, health, reflection, metrics, orderly end."""

from __future__ import annotations

import asyncio
import signal
import time
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

from services.common import tracing
from services.common.errors import ConfigurationError
from services.common.metrics import Metrics
from services.common.settings import GatewaySettings, Settings
from services.gateway.edge import SERVICES, Edge
from services.gateway.tls import open_certificate
from services.gateway.upstream import Upstream
from services.genproto.nesycd.v1 import reasoning_pb2 as pb

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

    `interceptors` are the seam for authentication.

    Raises: ConfigurationError when a port is taken, or a file of TLS is wrong.
    """

    def __init__(
        self, settings: Settings, *, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
    ) -> None:
        self._settings = settings.gateway
        certificate = open_certificate(settings.gateway)
        self._metrics = Metrics(CollectorRegistry(), has_certificate=certificate is not None)
        if certificate is not None:
            # Asked at each scrape, so that a renewal shows without a new connection.
            self._metrics.certificate_expiry.set_function(lambda: certificate.expires_s)
        self._upstream = Upstream(settings.gateway.upstream)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=tuple(interceptors), options=_options(settings.gateway)
        )
        edge = Edge(settings, self._upstream, self._metrics)
        self._server.add_generic_rpc_handlers(edge.handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME),
            self._server,
            pool=_MethodPool(),
        )
        self.port = _bind(
            self._server,
            (settings.gateway.host, settings.gateway.port, "port"),
            certificate.credentials() if certificate else None,
        )
        self._probed, self.health_port = self._serve_health()
        self._watch: asyncio.Task[None] | None = None
        self._metrics_server, self.metrics_port = self._serve_metrics()

    async def start(self) -> None:
        """Starts to accept calls; health says NOT_SERVING until the upstream is ready."""
        await self._report(None)
        await self._server.start()
        if self._probed is not None:
            await self._probed.start()
        self._watch = asyncio.create_task(
            self._upstream.watch(self._settings.health_interval_s, self._report)
        )
        log.info("gateway_listening", port=self.port, metrics_port=self.metrics_port)

    async def stop(self) -> None:
        """Tells health checks, refuses new calls, lets running ones end within `drain_s`.

        Between the first two it serves on for `shutdown_delay_s`: whoever routes calls here
        needs a moment to hear of it.
        """
        if self._watch is not None:
            self._watch.cancel()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.shutdown_delay_s)
        await self._server.stop(self._settings.drain_s)
        if self._probed is not None:
            await self._probed.stop(0)
        await self._upstream.close()
        await asyncio.to_thread(self._metrics_server.shutdown)
        self._metrics_server.server_close()
        log.info("gateway_stopped")

    async def _report(self, described: pb.DescribeResponse | None) -> None:
        ready = described is not None
        self._metrics.upstream_up.set(ready)
        if described is not None and described.knowledge_ready:
            self._metrics.release_is(described.kb_release, now_s=time.time())
        status = health_pb2.HealthCheckResponse
        for service in ("", *_NAMES):
            await self._health.set(service, status.SERVING if ready else status.NOT_SERVING)

    def _serve_health(self) -> tuple[grpc.aio.Server | None, int | None]:
        if self._settings.health_port is None:
            return None, None
        server = grpc.aio.server(options=_options(self._settings))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        place = (self._settings.inner_host, self._settings.health_port, "health_port")
        return server, _bind(server, place)

    def _serve_metrics(self) -> tuple[WSGIServer, int]:
        address, port = self._settings.inner_host, self._settings.metrics_port
        try:
            server, _ = start_http_server(port, addr=address, registry=self._metrics.registry)
        except OSError as error:
            raise ConfigurationError(
                f"gateway.metrics_port: cannot listen on {address}:{port}: {error.strerror}. "
                f"Choose another with NESYCD_GATEWAY__METRICS_PORT."
            ) from None
        return server, server.server_port


def _bind(
    server: grpc.aio.Server,
    place: tuple[str, int, str],
    credentials: grpc.ServerCredentials | None = None,
) -> int:
    """Makes a server listen at host, port and the setting that names the port; returns the port."""
    host, port, setting = place
    address = f"{host}:{port}"
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        raise ConfigurationError(
            f"gateway.{setting}: cannot listen on {address}; is another program using it? "
            f"Choose another with NESYCD_GATEWAY__{setting.upper()}."
        ) from None


def _options(settings: GatewaySettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.so_reuseport", 0),
        # A long decode is a silent stream: pings on it must not count as abuse.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
    if settings.max_connection_age_s:
        # Calls under way end on the old connection, however long they take.
        options.append(("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)))
    return options


async def serve(settings: Settings) -> None:
    """Runs a gateway until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    tracing.configure(settings, "gateway")
    gateway = Gateway(settings)
    await gateway.start()
    await ended.wait()
    await gateway.stop()
    await asyncio.to_thread(tracing.stop)
