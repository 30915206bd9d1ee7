"""A real Kubernetes API with KubeRay for tests: the one that the environment names, or one of ours.

`KUBECONFIG` names a running cluster, with KubeRay installed; the tests make namespaces of their
own there. Otherwise `NESYCD_TEST_KUBERNETES` names a folder with a program `cluster`, which
starts (`up DIR`, prints the kubeconfig's path) and ends (`down DIR`) one. Without either,
`tests.needs.missing`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kube_tools import tool
from tests.needs import missing

_PATIENCE_S = 300.0


@dataclass(frozen=True)
class Cluster:
    """A cluster, by the file that says how to reach it."""

    kubeconfig: Path

    @property
    def environment(self) -> dict[str, str]:
        """For helm and kubectl."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs kubectl."""
        return subprocess.run(
            [tool("kubectl"), *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        """Makes or changes objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        done = self.kubectl("apply", "--server-side", "-f", "-", stdin=text)
        assert done.returncode == 0, done.stderr

    def get(self, *words: str) -> dict[str, Any]:
        """An object, or a list of them."""
        done = self.kubectl("get", *words, "-o", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def names(self, namespace: str, kinds: str, *words: str) -> set[str]:
        """`kind/name` of all objects of the kinds."""
        done = self.kubectl("get", kinds, "-n", namespace, *words, "-o", "name")
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())


def wait_for(what: str, ready: Any, seconds: float = _PATIENCE_S) -> None:
    """Waits until `ready()` holds."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster that the environment names, or one started in `folder` and ended at the end."""
    named = os.environ.get("KUBECONFIG")
    if named:
        yield Cluster(Path(named))
        return
    program = Path(os.environ.get("NESYCD_TEST_KUBERNETES", "")) / "cluster"
    if not program.is_file():
        missing(
            "no Kubernetes: set KUBECONFIG, or NESYCD_TEST_KUBERNETES to a folder with `cluster`"
        )
    command = [sys.executable, str(program)]
    # It calls kubectl by that name.
    path = f"{tool('kubectl').parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    try:
        up = subprocess.run(
            [*command, "up", str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert up.returncode == 0, up.stderr
        cluster = Cluster(Path(up.stdout.split()[-1]))
        _give_volumes(cluster)
        _define_monitors(cluster)
        yield cluster
    finally:
        subprocess.run([*command, "down", str(folder)], env=environment, timeout=60, check=False)


def _give_volumes(cluster: Cluster) -> None:
    """Nothing makes volumes there; claims are bound to these."""
    cluster.apply(
        *(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"volume-{number}"},
                "spec": {
                    "capacity": {"storage": "1Ti"},
                    "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": f"/nowhere/{number}"},
                },
            }
            for number in range(40)
        )
    )


def _define_monitors(cluster: Cluster) -> None:
    """The Prometheus operator's kinds, without its checks of their content."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    cluster.apply(
        *(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{kind.lower()}s.monitoring.coreos.com"},
                "spec": {
                    "group": "monitoring.coreos.com",
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": f"{kind.lower()}s"},
                    "versions": [
                        {
                            "name": "v1",
                            "served": True,
                            "storage": True,
                            "schema": {"openAPIV3Schema": anything},
                        }
                    ],
                },
            }
            for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")
        )
    )
    done = cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    assert done.returncode == 0, done.stderr
