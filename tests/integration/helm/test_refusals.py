"""Wrong values are refused before anything is installed, and the message names them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart import template
from tests.kube_tools import HELMS

pytestmark = pytest.mark.integration

_WORKERS = {"replicas": 1, "resources": {}}

# What is set, and a part of the message: the path of the value as the schema names it.
WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"gatewey": {}}, "gatewey"),
    ({"gateway": {"replica": 2}}, "replica"),
    ({"gateway": {"replicas": 0}}, "replicas"),
    ({"gateway": {"replicas": "two"}}, "replicas"),
    ({"gateway": {"replicas": 1.5}}, "replicas"),
    ({"gateway": {"service": {"type": "Ingress"}}}, "type"),
    ({"gateway": {"service": {"port": 65536}}}, "port"),
    ({"gateway": {"service": {"nodePort": 80}}}, "nodePort"),
    ({"gateway": {"service": {"loadBalancerSourceRanges": ["here"]}}}, "loadBalancerSourceRanges"),
    ({"gateway": {"tls": {"enabled": "yes please"}}}, "enabled"),
    ({"gateway": {"tls": {"secretName": "x"}}}, "secretName"),
    ({"gateway": {"autoscaling": {"targetCPUUtilizationPercentage": 0}}}, "targetCPU"),
    ({"gateway": {"podDisruptionBudget": {"maxUnavailable": "half"}}}, "maxUnavailable"),
    ({"gateway": {"resources": {"request": {}}}}, "request"),
    ({"gateway": {"resources": {"limits": {"memory": "much"}}}}, "memory"),
    ({"gateway": {"tolerations": [{"operator": "Like"}]}}, "operator"),
    ({"gateway": {"extraEnv": [{"value": "x"}]}}, "name"),
    ({"gateway": {"extraVolumeMounts": [{"name": "x"}]}}, "mountPath"),
    ({"gateway": {"nodeSelector": {"a": 1}}}, "nodeSelector"),
    ({"gateway": {"topologySpreadConstraints": [{"maxSkew": 1}]}}, "topologyKey"),
    ({"images": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ({"images": {"gateway": {"digest": "sha256:short"}}}, "digest"),
    ({"images": {"serving": {"repository": ""}}}, "repository"),
    ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
    ({"fullnameOverride": "a" * 41}, "fullnameOverride"),
    ({"settings": {"log_level": "loud"}}, "log_level"),
    ({"settings": {"student": {"Model": "x"}}}, "Model"),
    ({"settings": {"student": {"model": ["x"]}}}, "model"),
    ({"settings": {"serve": {"student_replicas": 0}}}, "student_replicas"),
    ({"settings": {"serve": {"student_replicas": None}}}, "student_replicas"),
    ({"ray": {"version": "latest"}}, "version"),
    ({"ray": {"upgradeStrategy": "Incremental"}}, "upgradeStrategy"),
    ({"ray": {"terminationGracePeriodSeconds": 30}}, "terminationGracePeriodSeconds"),
    ({"ray": {"studentSurgePercent": 101}}, "studentSurgePercent"),
    ({"ray": {"sharedMemory": "1 GiB"}}, "sharedMemory"),
    ({"ray": {"workerGroups": {"workers": None}}}, "workerGroups"),
    ({"ray": {"workerGroups": {"Big": _WORKERS}}}, "Big"),
    ({"ray": {"workerGroups": {"big": {"replicas": 1}}}}, "resources"),
    ({"ray": {"workerGroups": {"big": {**_WORKERS, "gpus": 1}}}}, "gpus"),
    ({"ray": {"head": {"rayStartParams": {"num-cpus": 0}}}}, "num-cpus"),
    ({"neo4j": {"uri": "http://db:7474"}}, "uri"),
    ({"neo4j": {"user": ""}}, "user"),
    ({"neo4j": {"bundled": {"heap": "1 GB"}}}, "heap"),
    ({"knowledge": {"persistence": {"accessModes": []}}}, "accessModes"),
    ({"adapters": {"persistence": {"accessModes": ["Shared"]}}}, "accessModes"),
    ({"adapters": {"persistence": {"volume": {"csi": {}, "nfs": {}}}}}, "volume"),
    ({"cache": {"persistence": {"size": "big"}}}, "size"),
    ({"loader": {"source": {"kind": "url"}}}, "kind"),
    ({"loader": {"backoffLimit": -1}}, "backoffLimit"),
    ({"networkPolicy": {"gatewayFrom": [{"cidr": "10.0.0.0/8"}]}}, "cidr"),
    ({"monitoring": {"serviceMonitor": {"interval": "often"}}}, "interval"),
    ({"test": {"question": ""}}, "question"),
)

# Values that contradict each other: the whole message, as the chart says it.
CONTRADICTING: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {"settings": {"serve": {"student_replicas": 3}}},
        "settings.serve.student_replicas=3 is above settings.serve.student_max_replicas=1",
    ),
    (
        {"settings": {"gateway": {"port": 1}}},
        "settings.gateway.port is set by the chart; use gateway.service.port",
    ),
    (
        {"settings": {"knowledge": {"neo4j_password": "x"}}},
        "settings.knowledge.neo4j_password is set by the chart; use neo4j.existingSecret",
    ),
    (
        {"settings": {"cache_dir": "/x"}},
        "settings.cache_dir is set by the chart; use cache.persistence",
    ),
    (
        {"ray": {"clusterDeletionDelaySeconds": 600}},
        (
            "ray.clusterDeletionDelaySeconds=600 must be above the longest stream, "
            "settings.serve.request_timeout_s=600"
        ),
    ),
    (
        {"gateway": {"terminationGracePeriodSeconds": 35}},
        (
            "gateway.terminationGracePeriodSeconds=35 must be above "
            "settings.gateway.shutdown_delay_s=5 and settings.gateway.drain_s=30 together"
        ),
    ),
    (
        {"gateway": {"tls": {"enabled": True}}},
        "gateway.tls.existingSecret: name the Secret with the certificate and its key",
    ),
    (
        {"neo4j": {"uri": "bolt://db:7687", "bundled": {"enabled": True}}},
        (
            "neo4j.uri and neo4j.bundled.enabled exclude each other: an external server or the "
            "bundled one"
        ),
    ),
    (
        {"knowledge": {"persistence": {"enabled": False}}},
        (
            "loader.enabled with the embedded store needs knowledge.persistence.enabled: the "
            "loader and the readers share a volume"
        ),
    ),
    (
        {
            "adapters": {
                "persistence": {"enabled": True, "existingClaim": "a", "volume": {"nfs": {}}}
            }
        },
        "adapters.persistence: volume and existingClaim (a) exclude each other",
    ),
    (
        {"loader": {"source": {"kind": "volume"}}},
        "loader.source.existingClaim: name the claim that holds the dump",
    ),
    (
        {"loader": {"source": {"kind": "path"}}},
        "loader.source.path: name the dump's folder",
    ),
)


@pytest.mark.parametrize("major", HELMS)
@pytest.mark.parametrize(("values", "part"), WRONG, ids=str)
def test_the_schema_refuses_a_wrong_value_by_name(
    values: dict[str, Any], part: str, major: str
) -> None:
    done = template(values=values, major=major)
    assert done.returncode != 0
    assert "schema" in done.stderr
    assert part in done.stderr


@pytest.mark.parametrize("major", HELMS)
@pytest.mark.parametrize(("values", "said"), CONTRADICTING, ids=str)
def test_the_chart_refuses_values_that_contradict_each_other(
    values: dict[str, Any], said: str, major: str
) -> None:
    done = template(values=values, major=major)
    assert done.returncode != 0
    assert said in done.stderr


def test_an_older_kubernetes_is_refused() -> None:
    done = template("--kube-version", "1.28.0")
    assert done.returncode != 0
    assert ">=1.29.0-0" in done.stderr
