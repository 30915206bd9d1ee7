"""The gateway's image without a container engine: its own build commands, in a clean environment.

What stays for a machine with an engine: the base image, apt-get, and the other images, whose
packages are those of `make setup`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.dockerfiles import stages
from tests.promql import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the last stage would copy into /usr/local."""
    folder = tmp_path_factory.mktemp("image")
    source, prefix, python = folder / "src", folder / "install", folder / "python"
    source.mkdir()
    venv.create(python, with_pip=True)
    build, _ = stages(ROOT / "helm" / "images" / "gateway.Dockerfile")
    for one in build:
        if one.word == "COPY":
            *names, _ = one.rest.split()
            for name in names:
                _copy(ROOT / name, source / name)
        if one.word == "RUN":
            subprocess.run(
                ["sh", "-euc", one.rest.replace("/install", str(prefix))],
                cwd=source,
                env={**_clean(), "PATH": f"{python / 'bin'}{os.pathsep}{os.environ['PATH']}"},
                check=True,
            )
    return prefix


def _clean() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NESYCD_")}
    return {name: value for name, value in kept.items() if name != "PYTHONPATH"}


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(image: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as in the image: its packages and no others, no writable home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = image / "lib" / version / "site-packages"
    return subprocess.run(
        [str(image.parent / "python" / "bin" / "python"), *command],
        cwd=image,
        env={"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nowhere"}
        | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_gateway_says_how_it_is_used(image: Path) -> None:
    done = run(image, str(image / "bin" / "nesycd"), "gateway", "--help")
    assert done.returncode == 0, done.stderr
    assert "public gRPC edge" in done.stdout


def test_a_wrong_setting_ends_the_gateway_with_one_line(image: Path) -> None:
    words = (str(image / "bin" / "nesycd"), "gateway")
    done = run(image, *words, NESYCD_GATEWAY__PORT="many")
    assert done.returncode == 2, done.stderr
    assert "NESYCD_GATEWAY__PORT='many'" in done.stderr


@pytest.mark.parametrize("module", ["torch", "ray", "vllm", "transformers", "pytest"])
def test_what_only_models_and_tests_need_is_absent(image: Path, module: str) -> None:
    done = run(image, "-c", f"import {module}")
    assert f"No module named '{module}'" in done.stderr


def test_it_holds_the_sample_knowledge_and_the_commands_on_knowledge(image: Path) -> None:
    sample = "import kb_loader; print(kb_loader.__path__[0] + '/sample')"
    folder = run(image, "-c", sample).stdout.strip()
    assert str(image) in folder
    done = run(image, str(image / "bin" / "nesycd"), "kb", "verify", folder)
    assert done.returncode == 0, done.stderr
