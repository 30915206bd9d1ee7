"""The installed RayService really serves: KubeRay deploys the chart's Serve config into a real Ray.

Ray starts here under the environment of the rendered head pod; the gateway under that of its
Deployment. What is not the pods' own: folders, and loopback addresses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.common.settings import Settings
from tests.chart import CHART, Pod, named, pods, render
from tests.kube_tools import tool
from tests.kubernetes_api import Cluster, wait_for
from tests.ray_head import ray_head
from tests.service import SAMPLE, free_port, run
from tests.tiny_models import build_model, write_adapter

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]

_SERVE_S = 900.0


def _values(model: Path, adapters: Path) -> dict[str, Any]:
    """A tiny random model in vLLM, and a store that needs no volume."""
    return {
        "settings": {
            "student": {
                "model": str(model),
                "dtype": "float32",
                "kv_cache_bytes": 1 << 27,
                "default_adapter": "bbh@v1",
            },
            "serve": {"student_cpus": 0.1},
        },
        "knowledge": {"persistence": {"enabled": False}},
        "loader": {"enabled": False},
        "ray": {
            "head": {"extraEnv": [{"name": "NESYCD_STUDENT__ADAPTERS_DIR", "value": str(adapters)}]}
        },
    }


def _deploy(cluster: Cluster, namespace: str, verb: str, values: dict[str, Any]) -> None:
    """With Helm 4's own way of waiting, which ends too early before the RayService has a status."""
    done = subprocess.run(
        [
            *(tool("helm4"), verb, "demo", str(CHART), "--namespace", namespace, "-f", "-"),
            *("--wait", "--timeout", f"{_SERVE_S:.0f}s"),
        ],
        env=cluster.environment,
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=_SERVE_S + 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def _gateway(pod: Pod, log: Path) -> Iterator[str]:
    """The gateway under its pod's environment, on ports of this machine. Gives its address."""
    port = free_port()
    environment = pod.environment() | {
        "NESYCD_GATEWAY__HOST": "127.0.0.1",
        "NESYCD_GATEWAY__PORT": str(port),
        "NESYCD_GATEWAY__METRICS_PORT": str(free_port()),
        "NESYCD_GATEWAY__HEALTH_PORT": str(free_port()),
        "NESYCD_GATEWAY__UPSTREAM": "127.0.0.1:9000",
        "NESYCD_GATEWAY__SHUTDOWN_DELAY_S": "0",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NESYCD_")}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", "gateway"],
            env=kept | environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _ask(address: str) -> dict[str, Any]:
    words = ("What is six times seven?", "--max-new-tokens", "8", "--json", "--address", address)
    done = run("ask", *words, environment=os.environ)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_kuberay_deploys_the_chart_and_an_upgrade_takes_effect_in_the_same_ray(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    model = build_model(tmp_path / "tiny", context=4096)
    adapters, cache = tmp_path / "adapters", tmp_path / "cache"
    for version in ("v1", "v2"):
        write_adapter(adapters, f"bbh@{version}")
    cache.mkdir()
    (cache / "models").symlink_to(Settings().cache / "models")
    values = _values(model, adapters)
    objects = render(values=values)
    [head_pod] = [pod for pod in pods(objects) if pod.part == "RayService head"]
    [gateway_pod] = [pod for pod in pods(objects) if pod.part == "Deployment"]
    environment = head_pod.environment() | {"NESYCD_CACHE_DIR": str(cache)}
    assert environment["RAY_SERVE_USE_GRPC_BY_DEFAULT"] == "1"
    assert named(objects, "RayService")["metadata"]["name"] == "demo-nesycd"
    loaded = run("kb", "load", str(SAMPLE), environment=os.environ | environment)
    assert loaded.returncode == 0, loaded.stderr

    with ray_head(environment) as ray:
        _deploy(cluster, namespace, "install", values)
        wait_for("Running", lambda: _is_running(cluster, namespace), _SERVE_S)
        clusters = cluster.names(namespace, "raycluster")
        ports = cluster.get("service", "demo-nesycd-serve-svc", "-n", namespace)["spec"]["ports"]
        assert {port["name"]: port["port"] for port in ports}["serve-grpc"] == 9000

        with _gateway(gateway_pod, tmp_path / "gateway.log") as address:
            wait_for(
                "health at the gateway",
                lambda: run("health", "--address", address, environment=os.environ).returncode == 0,
            )
            answer = _ask(address)
            assert answer["model"] == "tiny"
            assert answer["adapter"] == "bbh@v1"
            assert answer["tokens"]["completion"] > 0

            # More replicas: the first one goes on as it is.
            [first] = ray.running("Student")
            values["settings"]["serve"] |= {"student_replicas": 2, "student_max_replicas": 2}
            _deploy(cluster, namespace, "upgrade", values)
            wait_for("two students", lambda: len(ray.running("Student")) == 2, _SERVE_S)
            assert first in ray.running("Student")

            # Another adapter: replicas are replaced, Ray and its cluster are not.
            values["settings"]["student"]["default_adapter"] = "bbh@v2"
            _deploy(cluster, namespace, "upgrade", values)
            wait_for("new students", lambda: first not in ray.running("Student"), _SERVE_S)
            wait_for("the other adapter", lambda: _ask(address)["adapter"] == "bbh@v2", _SERVE_S)
            assert cluster.names(namespace, "raycluster") == clusters

            # Another image: another Ray cluster takes over (here both are this one Ray).
            values["images"] = {"serving": {"tag": "0.2.0"}}
            _deploy(cluster, namespace, "upgrade", values)
            wait_for(
                "another Ray cluster",
                lambda: _active(cluster, namespace) not in {"", *clusters},
                _SERVE_S,
            )
            assert _ask(address)["adapter"] == "bbh@v2"

        # A wrong setting is named by the operator's status, and what runs goes on.
        values["settings"]["student"]["default_adaptor"] = "bbh@v2"
        subprocess.run(
            [
                *(tool("helm4"), "upgrade", "demo", str(CHART)),
                *("--namespace", namespace, "-f", "-"),
            ],
            env=cluster.environment,
            input=json.dumps(values),
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        wait_for(
            "the reason in the RayService's status",
            lambda: "argument student.default_adaptor" in json.dumps(_status(cluster, namespace)),
            _SERVE_S,
        )


def _status(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The RayService's; empty before the operator has seen it."""
    found: dict[str, Any] = cluster.get("rayservice", "demo-nesycd", "-n", namespace)
    return dict(found.get("status", {}))


def _is_running(cluster: Cluster, namespace: str) -> bool:
    """What `kubectl get rayservice` says."""
    return bool(_status(cluster, namespace).get("serviceStatus") == "Running")


def _active(cluster: Cluster, namespace: str) -> str:
    """The Ray cluster that serves, as `kubectl get -o name` would name it; empty for none."""
    name = _status(cluster, namespace)["activeServiceStatus"].get("rayClusterName")
    return f"raycluster.ray.io/{name}" if name else ""
