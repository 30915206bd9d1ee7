"""The local Ray that a service under test has started: its folder, and its metrics."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import psutil

from tests.service import Service


def ray_session(service: Service) -> Path:
    """The folder of the service's Ray, with logs and ports."""
    return Path(_option(service, "session-dir"))


def ray_metrics(service: Service) -> str:
    """The page that Prometheus reads at the node, the replicas' metrics among it."""
    (port,) = ray_session(service).glob("metrics_export_port_*")
    # Ray listens on the machine's own address, which need not be the loopback.
    url = f"http://{_option(service, 'node-ip-address')}:{port.read_text()}/metrics"
    return str(urllib.request.urlopen(url, timeout=30).read().decode())


def _option(service: Service, option: str) -> str:
    """What Ray told one of its processes on the command line."""
    for process in psutil.Process(service.process.pid).children(recursive=True):
        try:
            found = re.search(rf"--{option}=(\S+)", " ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
        if found:
            return found[1]
    raise AssertionError(f"no process of Ray has --{option}")
