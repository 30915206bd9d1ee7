"""What the chart sets is what the service reads: variables, arguments, ports, environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from services.cluster import _ENVIRONMENT
from services.common.settings import Settings, load_settings
from tests.chart import PROFILES, Object, named, pods, render
from tests.integration.helm.toggles import TOGGLES

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of ray, when it is imported
]

_PROFILES_AND_TOGGLES = [*PROFILES, *TOGGLES]


def _objects(name: str) -> list[Object]:
    return render(*PROFILES[name]) if name in PROFILES else render(values=TOGGLES[name])


def _serve_config(objects: list[Object]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(named(objects, "RayService")["spec"]["serveConfigV2"])
    return config


def _read(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            if name.startswith("NESYCD_"):
                patch.setenv(name, value)
        return load_settings()


@pytest.mark.parametrize("name", _PROFILES_AND_TOGGLES)
def test_every_variable_of_every_pod_is_a_setting(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pod in pods(_objects(name)):
        _read({"NESYCD_ADDRESS": "x"} | pod.environment(), monkeypatch)


@pytest.mark.parametrize("name", _PROFILES_AND_TOGGLES)
def test_the_arguments_of_the_application_are_settings(name: str) -> None:
    config = _serve_config(_objects(name))
    settings = load_settings(config["applications"][0]["args"])
    assert config["grpc_options"]["request_timeout_s"] == settings.serve.request_timeout_s
    assert config["grpc_options"]["port"] == settings.serve.grpc_port
    assert config["http_options"]["port"] == settings.serve.http_port


def test_settings_reach_the_processes_that_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render(
        values=TOGGLES["settings"]
        | {"neo4j": {"uri": "neo4j://db:7687", "user": "u", "database": "kb"}}
    )
    application = load_settings(_serve_config(objects)["applications"][0]["args"])
    gateway, loader = (
        _read(pod.environment(), monkeypatch)
        for pod in sorted(pods(objects), key=lambda pod: pod.part)
        if pod.part in ("Deployment", "Job")
    )
    assert application.student.kv_cache_bytes == 1 << 30
    assert application.student.default_adapter == "bbh@v1"
    assert application.student.eager is False
    assert application.reasoner.gate_threshold == gateway.reasoner.gate_threshold == 0.75
    assert application.gateway.drain_s == gateway.gateway.drain_s == 20
    assert gateway.gateway.max_message_bytes == 4194304
    assert gateway.gateway.upstream == "demo-nesycd-serve-svc.reasoning.svc:9000"
    assert {process.log_level for process in (application, gateway, loader)} == {"debug"}
    assert application.knowledge == loader.knowledge
    assert (loader.knowledge.store, loader.knowledge.neo4j_uri) == ("neo4j", "neo4j://db:7687")
    assert (loader.knowledge.neo4j_user, loader.knowledge.neo4j_database) == ("u", "kb")


def test_reader_and_loader_open_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = render()
    application = load_settings(_serve_config(objects)["applications"][0]["args"])
    [loader] = [pod for pod in pods(objects) if pod.part == "Job"]
    [worker] = [pod for pod in pods(objects) if pod.part == "RayService workers"]
    path = application.knowledge_path
    assert path == _read(loader.environment(), monkeypatch).knowledge_path
    for pod in (loader, worker):
        [mount] = [
            item for item in pod.containers[0]["volumeMounts"] if item["name"] == "knowledge"
        ]
        assert str(path.parent) == mount["mountPath"]


@pytest.mark.parametrize("profile", PROFILES)
def test_ray_gets_the_environment_that_nesycd_serve_gives_it(profile: str) -> None:
    for pod in pods(render(*PROFILES[profile])):
        if pod.part.startswith("RayService"):
            environment = pod.environment()
            assert {name: environment.get(name) for name in _ENVIRONMENT} == _ENVIRONMENT


def test_ray_serve_gets_the_servicers_and_replica_targets_of_the_application() -> None:
    from services.app import SERVICERS, build

    config = _serve_config(render(values=TOGGLES["settings"]))
    assert config["grpc_options"]["grpc_servicer_functions"] == SERVICERS
    [application] = config["applications"]
    assert application["import_path"] == "services.app:application"
    in_code = {
        node.name: node._deployment_config.autoscaling_config
        for node in _deployments(build(load_settings(application["args"])))
    }
    in_chart = {item["name"]: item["autoscaling_config"] for item in application["deployments"]}
    assert set(in_chart) == set(in_code)
    for name, scaling in in_chart.items():
        assert scaling["target_ongoing_requests"] == in_code[name].target_ongoing_requests
    assert (in_chart["Student"]["min_replicas"], in_chart["Student"]["max_replicas"]) == (2, 5)


def test_ports_are_those_that_the_processes_listen_on() -> None:
    objects = render()
    settings = Settings()
    for pod in pods(objects):
        declared = {
            port["name"]: port["containerPort"] for port in pod.containers[0].get("ports", [])
        }
        if pod.part == "Deployment":
            assert declared == {
                "grpc": settings.gateway.port,
                "metrics": settings.gateway.metrics_port,
                "health": int(pod.environment()["NESYCD_GATEWAY__HEALTH_PORT"]),
            }
        elif pod.part.startswith("RayService"):
            assert declared["serve-grpc"] == settings.serve.grpc_port
            assert declared["serve"] == settings.serve.http_port


def _deployments(application: Any) -> list[Any]:
    reasoner = application._bound_deployment
    student, knowledge, _ = reasoner.init_args
    return [reasoner, student._bound_deployment, knowledge._bound_deployment]
