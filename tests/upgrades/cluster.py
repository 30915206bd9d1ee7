"""A Ray with the application on it, two gateways before it, and hands to change them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import ray
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ray import serve
from ray.serve.config import HTTPOptions, gRPCOptions
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from services.app import SERVICERS
from services.cluster import _ENVIRONMENT
from services.genproto.nesycd.v1 import knowledge_pb2_grpc as kb_grpc
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.patience import PATIENT_RAY
from tests.service import SAMPLE, free_port, run
from tests.tiny_models import write_adapter

_PATIENCE_S = 300.0
_GATEWAYS = 2
# Ray's workers import it too, whatever package is installed.
_THIS_CHECKOUT = {"PYTHONPATH": str(Path(__file__).parents[2])}


@dataclass
class Gateway:
    """One gateway process on a port that it keeps over restarts."""

    environment: Mapping[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns when it says SERVING."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.main", "gateway"],
                env=dict(self.environment),
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            until(lambda: self._is_serving(health), f"the gateway on {self.port} is not ready")

    def stop(self) -> None:
        """SIGTERM, as the kubelet sends it, and waits for its end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(120)
            self.process = None

    def _is_serving(self, health: health_pb2_grpc.HealthStub) -> bool:
        try:
            reply = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


@dataclass
class Cluster:
    """What the steps change.

    Attributes:
        arguments: settings by section, as the Serve config's `args` hold them now.
    """

    folder: Path
    grpc_port: int
    http_port: int
    environment: Mapping[str, str]
    gateways: list[Gateway] = field(default_factory=list)
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Of the gateways."""
        return [f"127.0.0.1:{gateway.port}" for gateway in self.gateways]

    @property
    def adapters(self) -> Path:
        """The adapter folder."""
        return self.folder / "adapters"

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """To the first gateway, for the operator's own calls."""
        with grpc.insecure_channel(self.addresses[0]) as channel:
            yield channel

    def describe(self) -> pb.DescribeResponse:
        """What is served, as a gateway tells it."""
        with self.channel() as channel:
            return pb_grpc.ReasoningServiceStub(channel).Describe(pb.DescribeRequest(), timeout=60)

    @contextmanager
    def knowledge(self) -> Iterator[kb_grpc.KnowledgeServiceStub]:
        """The editors' calls."""
        with self.channel() as channel:
            yield kb_grpc.KnowledgeServiceStub(channel)

    def deploy(self, **changes: dict[str, Any]) -> None:
        """Changes settings by section and hands Serve its config, as KubeRay does after an upgrade.

        Returns when Serve says that the new config runs, old replicas ended.
        """
        for section, values in changes.items():
            self.arguments[section] = self.arguments.get(section, {}) | values
        before = self._deployed_at()
        config = ServeDeploySchema.model_validate(self._config())
        _get_global_client().deploy_apps(config)  # what Ray's REST interface calls
        until(lambda: self._deployed_at() > before, "Serve did not take the config")
        until(self._is_running, "the application does not run")

    def _config(self) -> dict[str, Any]:
        limits = self.arguments.get("serve", {})

        def deployment(name: str, part: str) -> dict[str, Any]:
            replicas = limits.get(f"{part}_replicas", 1)
            return {
                "name": name,
                # The successor starts before its forerunner ends.
                "max_surge_percent": 100,
                "autoscaling_config": {
                    "min_replicas": replicas,
                    "max_replicas": replicas,
                    "target_ongoing_requests": 64,
                },
            }

        return {
            "proxy_location": "EveryNode",
            "http_options": {"host": "127.0.0.1", "port": self.http_port},
            "grpc_options": {
                "port": self.grpc_port,
                "grpc_servicer_functions": SERVICERS,
                "request_timeout_s": 600,
            },
            "logging_config": {"log_level": "WARNING", "enable_access_log": False},
            "applications": [
                {
                    "name": "nesycd",
                    "route_prefix": "/",
                    "import_path": "services.app:application",
                    "args": self.arguments,
                    "deployments": [
                        deployment("Student", "student"),
                        deployment("KnowledgeBase", "knowledge"),
                        deployment("Reasoner", "reasoner"),
                    ],
                }
            ],
        }

    def _deployed_at(self) -> float:
        application = serve.status().applications.get("nesycd")
        return application.last_deployed_time_s if application else 0.0

    def _is_running(self) -> bool:
        application = serve.status().applications["nesycd"]
        if application.status == "DEPLOY_FAILED":
            raise RuntimeError(application.message)
        return application.status == "RUNNING" and all(
            deployment.status == "HEALTHY" for deployment in application.deployments.values()
        )


def until(condition: Callable[[], bool], otherwise: str) -> None:
    """Waits for the condition. Raises: TimeoutError saying `otherwise`."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.3)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Sample knowledge loaded, an adapter at hand, everything up; ended afterwards."""
    settings = {
        "NESYCD_STUDENT__BACKEND": "scripted",
        "NESYCD_STUDENT__ADAPTERS_DIR": str(folder / "adapters"),
        "NESYCD_KNOWLEDGE__PATH": str(folder / "knowledge.db"),
        "NESYCD_LOG_LEVEL": "warning",
    }
    environment = {**os.environ, **settings}
    write_adapter(folder / "adapters", "maths@v1")
    loaded = run("kb", "load", str(SAMPLE), environment=environment)
    if loaded.returncode:
        raise RuntimeError(loaded.stderr)
    with (
        mock.patch.dict(os.environ, _ENVIRONMENT | PATIENT_RAY | settings | _THIS_CHECKOUT),
        _serve(free_port(), free_port()) as (grpc_port, http_port),
    ):
        cluster = Cluster(folder, grpc_port, http_port, environment)
        cluster.deploy(serve={"student_cpus": 0.5})
        for number in range(_GATEWAYS):
            port = free_port()
            own = {
                "NESYCD_GATEWAY__PORT": str(port),
                "NESYCD_GATEWAY__METRICS_PORT": "0",
                "NESYCD_GATEWAY__UPSTREAM": f"127.0.0.1:{grpc_port}",
            }
            cluster.gateways.append(
                Gateway(environment | own, port, folder / f"gateway-{number}.log")
            )
        try:
            for gateway in cluster.gateways:
                gateway.start()
            yield cluster
        finally:
            for gateway in cluster.gateways:
                gateway.stop()


@contextmanager
def _serve(grpc_port: int, http_port: int) -> Iterator[tuple[int, int]]:
    """A Ray of this process's own, with Serve on it."""
    ray.init(
        address="local",
        namespace="nesycd",
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=150_000_000,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        serve.start(
            http_options=HTTPOptions(host="127.0.0.1", port=http_port),
            grpc_options=gRPCOptions(port=grpc_port, grpc_servicer_functions=SERVICERS),
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        yield grpc_port, http_port
    finally:
        serve.shutdown()
        ray.shutdown()
