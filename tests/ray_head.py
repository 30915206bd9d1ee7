"""A real Ray head on this machine, in place of a RayService's pods: KubeRay deploys into it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kubernetes_api import wait_for
from tests.needs import missing
from tests.service import free_port

# Those that KubeRay calls and the chart's Serve config names.
_PORTS = {"dashboard": 8265, "Serve HTTP": 8000, "Serve gRPC": 9000}
_START_S = 400.0


@dataclass(frozen=True)
class RayHead:
    """A running head; `url` is its dashboard's."""

    url: str
    log: Path

    def deployments(self) -> dict[str, Any]:
        """Every deployment of the application `nesycd`; empty before there is one."""
        request = f"{self.url}/api/serve/applications/"
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found = json.load(answer)["applications"].get("nesycd", {})
        except (OSError, urllib.error.URLError):
            return {}
        return dict(found.get("deployments", {}))

    def running(self, deployment: str) -> set[str]:
        """The ids of its running replicas."""
        replicas = self.deployments().get(deployment, {}).get("replicas", [])
        return {item["replica_id"] for item in replicas if item["state"] == "RUNNING"}


@contextmanager
def ray_head(environment: Mapping[str, str]) -> Iterator[RayHead]:
    """Starts a head with these variables and nothing else of ours; ends all of it at the end.

    Skips where another program has one of the ports that KubeRay calls.
    """
    for name, port in _PORTS.items():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                missing(f"port {port} ({name}) is in use on this machine")
    # A folder of its own: no other program on this machine finds this Ray unasked. A short one,
    # since paths of sockets end at 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NESYCD_")}
    log = folder / "start.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                *("--node-ip-address", "127.0.0.1", "--port", str(free_port())),
                *("--dashboard-host", "127.0.0.1", "--dashboard-port", "8265"),
                *("--dashboard-agent-listen-port", str(free_port())),
                *("--metrics-export-port", str(free_port())),
                *("--ray-client-server-port", str(free_port())),
                *("--temp-dir", str(folder), "--num-cpus", "4"),
                *("--object-store-memory", str(100 << 20)),
            ],
            env=kept | dict(environment) | {"PYTHONPATH": str(Path.cwd())},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    head = RayHead("http://127.0.0.1:8265", log)
    try:
        wait_for("Ray's dashboard", lambda: _answers(head, process), _START_S)
        yield head
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(head: RayHead, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, head.log.read_text()
    try:
        with urllib.request.urlopen(f"{head.url}/api/serve/applications/", timeout=30):
            return True
    except (OSError, urllib.error.URLError):
        return False
