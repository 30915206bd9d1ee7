"""What helm renders is what Kubernetes and KubeRay accept, for every profile and toggle."""

from __future__ import annotations

import copy
import importlib.metadata
import json
import lzma
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart import CHART, PROFILES, RELEASE, Object, helm, named, pods, render
from tests.integration.helm.toggles import TOGGLES
from tests.kube_tools import HELMS
from tests.needs import missing

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
# Of the Prometheus operator, whose definitions are in no package: looked at below by hand.
_PROMETHEUS = "monitoring.coreos.com/v1"


@cache
def _all_objects() -> tuple[tuple[str, Object], ...]:
    """Every different object of all profiles and toggles, with the name of where it is from."""
    found = {}
    for name, words in PROFILES.items():
        found.update({str(item): (name, item) for item in render(*words)})
    for name, values in TOGGLES.items():
        found.update({str(item): (name, item) for item in render(values=values)})
    return tuple(found.values())


@pytest.mark.parametrize("major", HELMS)
@pytest.mark.parametrize("profile", PROFILES)
def test_lint_finds_nothing_in_a_profile(profile: str, major: str) -> None:
    done = helm(major, "lint", "--strict", str(CHART), *PROFILES[profile])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_both_majors_of_helm_render_a_profile_alike(profile: str) -> None:
    by_major = [_without_random(render(*PROFILES[profile], major=major)) for major in HELMS]
    assert by_major[0] == by_major[1]


@pytest.mark.parametrize("toggle", TOGGLES)
def test_both_majors_of_helm_render_a_toggle_alike(toggle: str) -> None:
    by_major = [_without_random(render(values=TOGGLES[toggle], major=major)) for major in HELMS]
    assert by_major[0] == by_major[1]


def test_the_default_profile_is_the_golden_one() -> None:
    text = yaml.safe_dump_all(render(), sort_keys=True)
    golden = GOLDEN / "default.yaml"
    if os.environ.get("NESYCD_TEST_WRITE_DOCS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert golden.read_text() == text


@pytest.mark.parametrize(
    ("profile", "kinds"),
    [
        (
            "default",
            (
                "Deployment Job NetworkPolicy*4 PersistentVolumeClaim Pod PodDisruptionBudget "
                "RayService Service ServiceAccount*3"
            ),
        ),
        ("cpu", "Deployment Job PersistentVolumeClaim Pod RayService Service ServiceAccount*3"),
        (
            "gpu",
            (
                "Deployment Job NetworkPolicy*5 PersistentVolumeClaim*2 Pod PodDisruptionBudget "
                "RayService Secret Service*2 ServiceAccount*3 StatefulSet"
            ),
        ),
        (
            "ha",
            (
                "Deployment HorizontalPodAutoscaler Job NetworkPolicy*4 PersistentVolumeClaim*2 "
                "Pod PodDisruptionBudget*2 PodMonitor RayService Service ServiceAccount*3 "
                "ServiceMonitor"
            ),
        ),
    ],
)
def test_a_profile_makes_these_objects(profile: str, kinds: str) -> None:
    # Dashboards and alerts are as many as there are files of them.
    counted = Counter(item["kind"] for item in render(*PROFILES[profile]))
    files = {"ConfigMap": "dashboards/*.json", "PrometheusRule": "alerts/*.yaml"}
    shown = {"gpu": {"ConfigMap"}, "ha": set(files)}.get(profile, set())
    for kind, pattern in files.items():
        expected = len(list(CHART.glob(pattern))) if kind in shown else 0
        assert counted.pop(kind, 0) == expected, kind
    assert (
        " ".join(f"{kind}*{n}" if n > 1 else kind for kind, n in sorted(counted.items())) == kinds
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_every_built_in_object(version: str) -> None:
    try:
        importlib.metadata.version("kubernetes-validate")
    except importlib.metadata.PackageNotFoundError:
        missing("the package kubernetes-validate")
    import kubernetes_validate

    checked = 0
    for name, item in _all_objects():
        if item["apiVersion"] in ("ray.io/v1", _PROMETHEUS):
            continue
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{name}: {item['kind']} {item['metadata']['name']}: {error.message}")
        checked += 1
    assert checked > 80


@cache
def _ray_service_schema() -> dict[str, Any]:
    folder = Path(os.environ.get("NESYCD_TEST_KUBERNETES", "")) / "crds"
    packed = folder / "ray.io_rayservices.yaml.xz"
    if not packed.is_file():
        missing("ray.io_rayservices.yaml.xz in crds/ of the folder NESYCD_TEST_KUBERNETES names")
    definition = yaml.safe_load(lzma.decompress(packed.read_bytes()))
    [version] = [item for item in definition["spec"]["versions"] if item["name"] == "v1"]
    schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    _close(schema)
    return schema


def _close(schema: dict[str, Any]) -> None:
    """Refuses unknown fields, as the API server does, and takes its own format for granted."""
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for inner in [
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]:
        if isinstance(inner, dict):
            _close(inner)


def test_kuberay_accepts_every_ray_service() -> None:
    schema = _ray_service_schema()
    schema["properties"]["metadata"] = {"type": "object"}
    checked = 0
    for name, item in _all_objects():
        if item["kind"] == "RayService":
            errors = list(jsonschema.Draft7Validator(schema).iter_errors(item))
            assert not errors, f"{name}: {errors[0].json_path}: {errors[0].message}"
            checked += 1
    assert checked > 15


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of ray, when it is imported
def test_ray_serve_accepts_every_serve_config() -> None:
    from ray.serve.schema import ServeDeploySchema

    for name, item in _all_objects():
        if item["kind"] == "RayService":
            config = yaml.safe_load(item["spec"]["serveConfigV2"])
            assert ServeDeploySchema.model_validate(config).applications[0].name == "nesycd", name


def test_every_selector_finds_the_pods_that_it_is_for() -> None:
    objects = render(*PROFILES["ha"], values={"neo4j": {"uri": "", "bundled": {"enabled": True}}})
    labels = {pod.labels["app.kubernetes.io/component"]: pod.labels for pod in pods(objects)}
    assert set(labels) == {"gateway", "ray-head", "ray-worker", "loader", "neo4j", "test"}
    selected = {}
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] in ("NetworkPolicy", "PodDisruptionBudget", "PodMonitor"):
            selector = spec.get("podSelector") or spec["selector"]
        elif item["kind"] == "Service":
            selector = {"matchLabels": spec["selector"]}
        else:
            continue
        key = f"{item['kind']} {item['metadata']['name'].removeprefix('demo-nesycd-')}"
        selected[key] = sorted(part for part in labels if _matches(selector, labels[part]))
    assert selected == {
        "NetworkPolicy gateway": ["gateway"],
        "NetworkPolicy loader": ["loader"],
        "NetworkPolicy neo4j": ["neo4j"],
        "NetworkPolicy ray-head": ["ray-head"],
        "NetworkPolicy ray-worker": ["ray-worker"],
        "PodDisruptionBudget gateway": ["gateway"],
        "PodDisruptionBudget ray-worker": ["ray-worker"],
        "PodMonitor ray": ["ray-head", "ray-worker"],
        "Service gateway": ["gateway"],
        "Service neo4j": ["neo4j"],
    }


def test_monitors_name_ports_that_exist() -> None:
    objects = render(values=TOGGLES["monitors"])
    ports = {port["name"]: port["port"] for port in named(objects, "Service")["spec"]["ports"]}
    [endpoint] = named(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert (endpoint["port"], ports["metrics"]) == ("metrics", 9464)
    [endpoint] = named(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    for kind in ("ServiceMonitor", "PodMonitor"):
        # By which dashboards and alerts tell releases apart.
        assert "app.kubernetes.io/instance" in named(objects, kind)["spec"]["podTargetLabels"]
    for pod in pods(objects):
        assert pod.labels["app.kubernetes.io/instance"] == RELEASE
        if pod.part.startswith("RayService"):
            declared = {port["name"]: port["containerPort"] for port in pod.containers[0]["ports"]}
            assert declared[endpoint["port"]] == 8080


def test_each_dashboard_and_alert_file_becomes_an_object_as_it_is() -> None:
    objects = render(values=TOGGLES["monitors"])
    maps = [item for item in objects if item["kind"] == "ConfigMap"]
    rules = [item for item in objects if item["kind"] == "PrometheusRule"]
    dashboards = {path.stem: path.read_text() for path in CHART.glob("dashboards/*.json")}
    assert {key: text.strip() for item in maps for key, text in item["data"].items()} == {
        f"nesycd-{name}.json": text.strip() for name, text in dashboards.items()
    }
    for item in maps:
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["namespace"] == "grafana"
    alerts = [yaml.safe_load(path.read_text()) for path in sorted(CHART.glob("alerts/*.yaml"))]
    assert [item["spec"] for item in rules] == [
        json.loads(json.dumps(rule).replace("docs/runbook.md", "https://wiki.example/runbook"))
        for rule in alerts
    ]
    assert all(item["metadata"]["labels"]["release"] == "prometheus" for item in rules)


def test_a_change_of_settings_leaves_the_ray_pods_as_they_are() -> None:
    before, after = (
        named(render(values=values), "RayService")["spec"]
        for values in (
            {},
            {"settings": {"student": {"default_adapter": "bbh@v2"}, "log_level": "debug"}},
        )
    )
    assert before["serveConfigV2"] != after["serveConfigV2"]
    assert before["rayClusterConfig"] == after["rayClusterConfig"]


def _matches(selector: dict[str, Any], labels: Any) -> bool:
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(
        labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", [])
    )


def _without_random(objects: list[Object]) -> list[Object]:
    """The bundled server's password is another one at each rendering."""
    for item in objects:
        if item["kind"] == "Secret":
            item["data"] = dict.fromkeys(item["data"])
    return objects
