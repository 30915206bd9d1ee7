"""A real Prometheus on loopback that scrapes what a test has started."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.needs import missing
from tests.promql import ROOT
from tests.service import Service, free_port

# What PodMonitor and ServiceMonitor add to every series.
LABELS = {"namespace": "test", "app_kubernetes_io_instance": "nesycd"}


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with `metric` and `value`, those of NaN left out.

        Raises: ValueError with Prometheus' own words when it refuses the expression.
        """
        words = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{words}", timeout=30) as reply:
                result = json.load(reply)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{expression}: {error.read().decode()}") from None
        return [series for series in result if series["value"][1] != "NaN"]

    def targets(self) -> dict[str, str]:
        """The health of every target, by job: "up", "down" or "unknown"."""
        with urllib.request.urlopen(f"{self.url}/api/v1/targets", timeout=30) as reply:
            found = json.load(reply)["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in found}


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Scrapes `targets`, host and port by job, every second, with the chart's own rules."""
    program = shutil.which("prometheus")
    if program is None:
        missing("prometheus is not on the PATH (Debian: apt-get install prometheus)")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "helm" / "nesycd" / "alerts" / "*.yaml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": LABELS}]}
            for job, address in targets.items()
        ],
    }
    file = folder / "prometheus.json"
    file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML too
    address = f"127.0.0.1:{free_port()}"
    log = folder / "prometheus.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                *(program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"),
                f"--web.listen-address={address}",
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    server = Prometheus(f"http://{address}")
    try:
        _wait_for(server, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def ray_metrics_address(service: Service) -> str:
    """Host and port of the metrics of the Ray that a service has started for itself."""
    for process in psutil.Process(service.process.pid).children(recursive=True):
        words = " ".join(process.cmdline())
        session = re.search(r"--session-dir=(\S+)", words)
        address = re.search(r"--node-ip-address=(\S+)", words)
        if session and address:
            (port,) = Path(session[1]).glob("metrics_export_port_*")
            return f"{address[1]}:{port.read_text()}"
    raise RuntimeError("the service has started no Ray")


def _wait_for(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            health = server.targets()
        except OSError:
            health = {}
        if health and set(health.values()) == {"up"}:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Prometheus sees {health}:\n{log.read_text()}")
        time.sleep(0.5)
