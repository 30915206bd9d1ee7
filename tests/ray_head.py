"""A Ray head of one's own, started as a node of a cluster is, for tests that serve on one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import psutil

from services import cluster
from tests.service import free_port

ROOT = Path(__file__).parents[1]
_START_S = 180.0
PATIENT = {
    # On a busy machine Ray's own processes take longer than it likes to wait.
    "RAY_agent_register_timeout_ms": "150000",
    "RAY_raylet_start_wait_time_s": "150",
    "RAY_worker_register_timeout_seconds": "150",
    # Every second instead of every ten: tests do not wait for metrics.
    "RAY_metrics_report_interval_ms": "1000",
}
"""For the environment of a Ray that a test starts."""

# A token left in the home folder by another Ray would make this one ask for it, and drivers that
# join a cluster do not send it by themselves.
_NO_TOKEN = {"RAY_AUTH_MODE": "disabled"}


@dataclass(frozen=True)
class RayHead:
    """A running head.

    Attributes:
        address: for NESYCD_SERVE__RAY_ADDRESS.
        metrics: host and port that Prometheus scrapes.
        dashboard: host and port of its REST API; nobody listens unless it was asked for.
    """

    address: str
    metrics: str
    dashboard: str


@contextmanager
def ray_head(
    *, dashboard: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[RayHead]:
    """Starts a head with ports, session folder and object store of its own; ends all it started."""
    # Ray's sockets lie in this folder, and the path of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    port, metrics, rest, agent, client = (free_port() for _ in range(5))
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
        *("--disable-usage-stats", f"--port={port}", f"--temp-dir={folder}"),
        *(f"--metrics-export-port={metrics}", f"--include-dashboard={str(dashboard).lower()}"),
        *(f"--dashboard-port={rest}", f"--dashboard-agent-listen-port={agent}"),
        *(f"--ray-client-server-port={client}", "--num-cpus=4", "--object-store-memory=150000000"),
    ]
    log = folder / "head.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                **cluster._ENVIRONMENT,
                **_NO_TOKEN,
                **PATIENT,
                # Workers import this checkout, whatever package is installed.
                "PYTHONPATH": str(ROOT),
                **(environment or {}),
            },
        )
    head = RayHead(f"{_own_address()}:{port}", f"127.0.0.1:{metrics}", f"127.0.0.1:{rest}")
    try:
        _wait_for(process, log)
        with mock.patch.dict(os.environ, _NO_TOKEN):
            yield head
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _own_address() -> str:
    import ray.util

    return str(ray.util.get_node_ip_address())


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while "Ray runtime started" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start:\n{log.read_text()}")
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the head and every process under it; a drain in order would take half a minute."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), process]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait(30)
