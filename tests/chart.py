"""The Helm chart as its tests see it: its profiles, and what helm renders from values."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kube_tools import tool

CHART = Path(__file__).parents[1] / "helm" / "nesycd"
RELEASE = "demo"
NAMESPACE = "reasoning"
PROFILES: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "cpu": ("-f", str(CHART / "values-cpu.yaml")),
    "gpu": ("-f", str(CHART / "values-gpu.yaml")),
    "ha": ("-f", str(CHART / "values-ha.yaml")),
}

Object = dict[str, Any]


def helm(
    major: str, *words: str, values: Mapping[str, Any] | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs helm with the words; `values` go in as a file after those of the words."""
    more = () if values is None else ("-f", "-")
    return subprocess.run(
        [tool(major), *words, *more],
        input=None if values is None else json.dumps(values),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def template(
    *words: str, values: Mapping[str, Any] | None = None, major: str = "helm4"
) -> subprocess.CompletedProcess[str]:
    """`helm template` of the chart."""
    return helm(
        major, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, *words, values=values
    )


def render(
    *words: str, values: Mapping[str, Any] | None = None, major: str = "helm4"
) -> list[Object]:
    """The objects that the chart makes, in the order of their kinds and names."""
    done = template(*words, values=values, major=major)
    assert done.returncode == 0, done.stderr
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    return sorted(objects, key=lambda item: (item["kind"], item["metadata"]["name"]))


def named(objects: list[Object], kind: str, ending: str = "") -> Object:
    """The one object of a kind whose name has the ending."""
    [found] = [
        item
        for item in objects
        if item["kind"] == kind and item["metadata"]["name"].endswith(ending)
    ]
    return found


@dataclass(frozen=True)
class Pod:
    """A pod as some object describes it."""

    part: str
    """The object's kind, and for Ray pods `head` or the worker group."""
    labels: Mapping[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """All containers, those of the start included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def environment(self) -> dict[str, str]:
        """Variables with a literal value, of the first container."""
        env = self.spec["containers"][0].get("env", [])
        return {entry["name"]: entry["value"] for entry in env if "value" in entry}


def pods(objects: list[Object]) -> Iterator[Pod]:
    """Every pod that the objects describe."""
    for item in objects:
        kind, spec = item["kind"], item.get("spec", {})
        if kind == "Pod":
            yield Pod(kind, item["metadata"]["labels"], spec)
        elif kind == "RayService":
            cluster = spec["rayClusterConfig"]
            groups = {"head": cluster["headGroupSpec"]} | {
                group["groupName"]: group for group in cluster["workerGroupSpecs"]
            }
            for name, group in groups.items():
                inner = group["template"]
                yield Pod(f"RayService {name}", inner["metadata"]["labels"], inner["spec"])
        elif "template" in spec:
            inner = spec["template"]
            yield Pod(kind, inner["metadata"]["labels"], inner["spec"])
