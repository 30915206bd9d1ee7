"""Starts `nesycd serve` as a user would, for tests and benchmarks, and ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "kb_loader" / "sample"


@dataclass(frozen=True)
class Service:
    """A running service: its gateway's address, its environment, its log file."""

    address: str
    metrics_url: str
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs one `nesycd` command against this service."""
        environment = {**self.environment, "NESYCD_ADDRESS": self.address}
        return run(*words, environment=environment)


def run(*words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs `nesycd` with the words; output as text."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def service_environment(folder: Path, **settings: object) -> dict[str, str]:
    """An environment with ports and knowledge of its own; `student__model="x"` sets a setting."""
    defaults = {
        "gateway__port": free_port(),
        "gateway__metrics_port": free_port(),
        "serve__grpc_port": free_port(),
        "serve__http_port": free_port(),
        "knowledge__path": folder / "knowledge.db",
    }
    named = {f"NESYCD_{key.upper()}": str(value) for key, value in (defaults | settings).items()}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NESYCD_")}
    cache = os.environ.get("NESYCD_CACHE_DIR")
    return kept | ({"NESYCD_CACHE_DIR": cache} if cache else {}) | named


@contextmanager
def running_service(
    folder: Path, *, ready_timeout_s: float = 300.0, **settings: object
) -> Iterator[Service]:
    """Loads the sample knowledge and serves; ends the service, and all it started, at the end."""
    environment = service_environment(folder, **settings)
    loaded = run("kb", "load", str(SAMPLE), environment=environment)
    if loaded.returncode:
        raise RuntimeError(loaded.stderr)
    log = folder / "serve.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", "serve"],
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    service = Service(
        address=f"127.0.0.1:{environment['NESYCD_GATEWAY__PORT']}",
        metrics_url=f"http://127.0.0.1:{environment['NESYCD_GATEWAY__METRICS_PORT']}/metrics",
        environment=environment,
        log=log,
        process=process,
    )
    try:
        _wait_ready(service, ready_timeout_s)
        yield service
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_ready(service: Service, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while "serving on" not in service.log.read_text():
        if service.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the service did not start:\n{service.log.read_text()}")
        time.sleep(0.2)
