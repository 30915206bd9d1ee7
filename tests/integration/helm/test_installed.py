"""The chart on a real API server: install, test, upgrade, roll back, uninstall, rights.

The node is played: pods turn ready without a container. That the RayService serves is shown in
test_serving.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.chart import CHART, PROFILES
from tests.kube_tools import HELMS, tool
from tests.kubernetes_api import Cluster, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_KINDS = (
    "deployment,statefulset,job,pod,service,serviceaccount,secret,configmap,pvc,networkpolicy,"
    "poddisruptionbudget,horizontalpodautoscaler,role,rolebinding,rayservice,raycluster,"
    "servicemonitor,podmonitor,prometheusrule"
)
# Of the namespace itself.
_ALWAYS = {"serviceaccount/default", "configmap/kube-root-ca.crt"}
# Without Ray nothing answers the operator, so Helm 4 cannot wait for the RayService here.
_WAIT = {"helm3": "--wait", "helm4": "--wait=legacy"}


class Release:
    """A release of the chart in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str, major: str) -> None:
        self.cluster, self.namespace, self.major = cluster, namespace, major

    def helm(self, *words: str) -> str:
        done = subprocess.run(
            [tool(self.major), *words, "--namespace", self.namespace],
            env=self.cluster.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def deploy(self, verb: str, *words: str) -> str:
        waiting = (_WAIT[self.major], "--timeout", "5m")
        return self.helm(verb, "demo", str(CHART), *waiting, *words)

    def uninstall(self) -> None:
        self.helm("uninstall", "demo", "--wait", "--timeout", "5m")

    def names(self) -> set[str]:
        return self.cluster.names(self.namespace, _KINDS) - _ALWAYS

    def serve_config(self) -> str:
        found = self.cluster.get("rayservice", "demo-nesycd", "-n", self.namespace)
        return str(found["spec"]["serveConfigV2"])

    def ray_clusters(self) -> set[str]:
        return self.cluster.names(self.namespace, "raycluster")


@pytest.fixture(params=HELMS)
def release(cluster: Cluster, namespace: str, request: pytest.FixtureRequest) -> Iterator[Release]:
    for name in ("nesycd-neo4j", "nesycd-gateway-tls"):
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": namespace},
                "stringData": {"password": "for-tests", "tls.crt": "", "tls.key": "", "ca.crt": ""},
            }
        )
    return Release(cluster, namespace, request.param)


@pytest.mark.parametrize(
    ("profile", "staying"),
    [
        ("default", {"persistentvolumeclaim/demo-nesycd-knowledge"}),
        ("cpu", {"persistentvolumeclaim/demo-nesycd-knowledge"}),
        (
            "gpu",
            {
                "persistentvolumeclaim/demo-nesycd-adapters",
                "persistentvolumeclaim/data-demo-nesycd-neo4j-0",
                "secret/demo-nesycd-neo4j",
            },
        ),
        ("ha", {"persistentvolumeclaim/demo-nesycd-adapters"}),
    ],
)
def test_a_profile_is_installed_tested_upgraded_rolled_back_and_uninstalled(
    profile: str, staying: set[str], release: Release
) -> None:
    before = release.names()
    said = release.deploy("install", *PROFILES[profile])
    assert "helm test demo" in said
    wait_for("the loader's Job", lambda: _loader_ran(release, times=1))
    wait_for("a Ray cluster with its pods", lambda: _has_head_and_worker(release))

    assert "Succeeded" in release.helm("test", "demo")

    first, clusters = release.serve_config(), release.ray_clusters()
    release.deploy(
        "upgrade",
        *PROFILES[profile],
        "--set",
        "settings.reasoner.gate_threshold=0.5,settings.serve.student_max_replicas=6",
    )
    [application] = yaml.safe_load(release.serve_config())["applications"]
    # What --set gives is text where it has a point; the service reads it as a number.
    assert float(application["args"]["reasoner"]["gate_threshold"]) == 0.5
    assert application["deployments"][0]["autoscaling_config"]["max_replicas"] == 6
    assert release.ray_clusters() == clusters
    wait_for("the loader's second Job", lambda: _loader_ran(release, times=2))

    release.helm("rollback", "demo", "1", _WAIT[release.major], "--timeout", "5m")
    assert release.serve_config() == first
    assert release.ray_clusters() == clusters

    release.uninstall()
    wait_for("all to go but what stays", lambda: release.names() == before | staying)


def test_a_password_made_at_random_stays_over_upgrades(release: Release) -> None:
    values = ("--set", "neo4j.bundled.enabled=true")
    release.deploy("install", *values)
    secret = ("secret", "demo-nesycd-neo4j", "-n", release.namespace)
    first = release.cluster.get(*secret)["data"]["password"]
    release.deploy("upgrade", *values, "--set", "settings.log_level=debug")
    assert release.cluster.get(*secret)["data"]["password"] == first
    # And over the loss of the release: the server's volume knows no other.
    release.uninstall()
    release.deploy("install", *values)
    assert release.cluster.get(*secret)["data"]["password"] == first


def test_each_service_account_can_do_what_it_needs_and_nothing_more(release: Release) -> None:
    release.deploy("install", "--set", "ray.autoscaling.enabled=true")
    accounts = {f"demo-nesycd-{part}": part for part in ("ray", "gateway", "loader")}
    wait_for("the autoscaler's role", lambda: _may(release, "demo-nesycd-ray", "list", "pods"))
    needed = {
        ("ray", "list", "pods"),
        ("ray", "watch", "pods"),
        ("ray", "patch", "rayclusters.ray.io"),
    }
    # KubeRay's own role goes a little further, within pods and Ray clusters.
    allowed = needed | {("ray", verb, "pods") for verb in ("get", "patch")}
    allowed |= {("ray", "get", "rayclusters.ray.io")}
    resources = ("pods", "secrets", "configmaps", "deployments.apps", "rayclusters.ray.io")
    held = {
        (part, verb, resource)
        for account, part in accounts.items()
        for verb in ("get", "list", "watch", "create", "patch", "delete")
        for resource in resources
        if _may(release, account, verb, resource)
    }
    assert needed <= held <= allowed


def test_without_autoscaling_no_account_has_any_right(release: Release) -> None:
    release.deploy("install")
    for part in ("ray", "gateway", "loader"):
        for verb, resource in (
            ("list", "pods"),
            ("get", "secrets"),
            ("patch", "rayclusters.ray.io"),
        ):
            assert not _may(release, f"demo-nesycd-{part}", verb, resource)


def _may(release: Release, account: str, verb: str, resource: str) -> bool:
    user = f"--as=system:serviceaccount:{release.namespace}:{account}"
    done = release.cluster.kubectl("auth", "can-i", verb, resource, "-n", release.namespace, user)
    return done.stdout.strip() == "yes"


def _loader_ran(release: Release, *, times: int) -> bool:
    """Helm deletes the Job when it has succeeded; its events stay."""
    events = release.cluster.get("events", "-n", release.namespace)["items"]
    done = [
        event
        for event in events
        if event["reason"] == "Completed" and event["involvedObject"]["kind"] == "Job"
    ]
    uids = {event["involvedObject"]["uid"] for event in done}
    return len(uids) == times and "job.batch/demo-nesycd-loader" not in release.names()


def _has_head_and_worker(release: Release) -> bool:
    pods = release.cluster.get(
        "pods", "-n", release.namespace, "-l", "app.kubernetes.io/instance=demo"
    )["items"]
    ready = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for pod in pods
        if pod["status"]["phase"] == "Running"
    }
    return {"ray-head", "ray-worker", "gateway"} <= ready
