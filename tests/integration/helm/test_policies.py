"""What a security review asks of every pod; each exception stands here with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chart import PROFILES, Object, Pod, pods, render

pytestmark = pytest.mark.integration

# (policy, component) -> why it need not hold there.
EXCEPTIONS = {
    ("root_file_system_is_read_only", "neo4j"): "the image writes its configuration when it starts",
    ("token_is_not_mounted", "ray-head"): "only with Ray's autoscaler, which asks the API for pods",
    ("has_probes", "loader"): "runs to its end",
    ("has_probes", "test"): "runs to its end",
}


def _each(pod: Pod, holds: Callable[[Object], bool]) -> bool:
    return all(holds(container) for container in pod.containers)


def _runs_as_a_user_without_rights(pod: Pod) -> bool:
    context = pod.spec["securityContext"]
    return bool(context["runAsNonRoot"] and context["runAsUser"] > 1000)


def _has_the_default_seccomp_profile(pod: Pod) -> bool:
    return bool(pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"})


def _gains_no_privileges(pod: Pod) -> bool:
    return _each(
        pod,
        lambda container: (
            container["securityContext"]["allowPrivilegeEscalation"] is False
            and container["securityContext"]["privileged"] is False
            and container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        ),
    )


def _root_file_system_is_read_only(pod: Pod) -> bool:
    return _each(pod, lambda container: container["securityContext"]["readOnlyRootFilesystem"])


def _shares_nothing_with_the_host(pod: Pod) -> bool:
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name)]
    return not shared and not any("hostPath" in volume for volume in pod.spec.get("volumes", []))


def _token_is_not_mounted(pod: Pod) -> bool:
    return pod.spec["automountServiceAccountToken"] is False


def _sees_no_variables_of_services(pod: Pod) -> bool:
    return pod.spec["enableServiceLinks"] is False


def _image_has_a_fixed_version(pod: Pod) -> bool:
    return _each(
        pod, lambda container: bool(re.search(r":(?!latest$)[\w.-]+$", container["image"]))
    )


def _asks_for_what_it_needs_and_is_bounded(pod: Pod) -> bool:
    return _each(
        pod,
        lambda container: (
            {"cpu", "memory"} <= set(container["resources"]["requests"])
            and "memory" in container["resources"]["limits"]
            and _within_limits(container["resources"])
        ),
    )


def _temporary_files_are_bounded(pod: Pod) -> bool:
    volumes = [volume["emptyDir"] for volume in pod.spec.get("volumes", []) if "emptyDir" in volume]
    return all("sizeLimit" in volume for volume in volumes)


def _has_probes(pod: Pod) -> bool:
    return _each(pod, lambda container: {"readinessProbe", "livenessProbe"} <= set(container))


def _password_comes_from_a_secret(pod: Pod) -> bool:
    return not any("PASSWORD" in name for name in pod.environment())


POLICIES = {
    policy.__name__.removeprefix("_"): policy
    for policy in (
        _runs_as_a_user_without_rights,
        _has_the_default_seccomp_profile,
        _gains_no_privileges,
        _root_file_system_is_read_only,
        _shares_nothing_with_the_host,
        _token_is_not_mounted,
        _sees_no_variables_of_services,
        _image_has_a_fixed_version,
        _asks_for_what_it_needs_and_is_bounded,
        _temporary_files_are_bounded,
        _has_probes,
        _password_comes_from_a_secret,
    )
}


def _all_pods() -> Iterator[tuple[str, Pod]]:
    for profile, words in PROFILES.items():
        for pod in pods(render(*words)):
            yield profile, pod


@pytest.mark.parametrize("policy", POLICIES)
def test_every_pod_of_every_profile_keeps_the_policy(policy: str) -> None:
    broken = {}
    for profile, pod in _all_pods():
        component = pod.labels["app.kubernetes.io/component"]
        if not POLICIES[policy](pod):
            broken[policy, component] = f"{profile}: {pod.part}"
    expected = {key for key in EXCEPTIONS if key[0] == policy}
    assert set(broken) == expected, broken


def test_no_profile_gives_an_account_of_ours_any_right() -> None:
    # KubeRay binds a role of its own to the head's account when its autoscaler is on.
    for words in PROFILES.values():
        assert not [item for item in render(*words) if "rbac" in item["apiVersion"]]


def test_a_policy_is_broken_where_it_can_be() -> None:
    [pod] = [
        pod
        for pod in pods(
            render(
                values={
                    "securityContext": {"readOnlyRootFilesystem": False, "privileged": True},
                    "podSecurityContext": {"runAsUser": 0},
                    "images": {"gateway": {"tag": "latest"}},
                    "gateway": {"resources": {"requests": {"memory": "1Gi"}}},
                }
            )
        )
        if pod.part == "Deployment"
    ]
    broken = {name for name, policy in POLICIES.items() if not policy(pod)}
    assert broken == {
        "runs_as_a_user_without_rights",
        "gains_no_privileges",
        "root_file_system_is_read_only",
        "image_has_a_fixed_version",
        "asks_for_what_it_needs_and_is_bounded",
    }


_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def _within_limits(resources: dict[str, Any]) -> bool:
    limits = resources["limits"]
    return all(
        _amount(quantity) <= _amount(limits[name])
        for name, quantity in resources["requests"].items()
        if name in limits
    )


def _amount(quantity: object) -> float:
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity))
    assert match is not None, quantity
    return float(match[1]) * _UNITS[match[2]]
