"""What a test needs beyond Python: missing, it skips with the reason; in CI it fails."""

from __future__ import annotations

import lzma
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skips the test; in CI, where nothing may be missing, fails it."""
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)


def client(name: str, folder: Path) -> str:
    """The path of a public gRPC client: on the PATH, or unpacked into `folder`.

    NESYCD_TEST_CLIENTS names a folder that holds `NAME.xz`.
    """
    found = shutil.which(name)
    if found:
        return found
    packed = Path(os.environ.get("NESYCD_TEST_CLIENTS", "")) / f"{name}.xz"
    if not packed.is_file():
        missing(f"{name} is not on the PATH, nor {name}.xz in the folder NESYCD_TEST_CLIENTS names")
    target = folder / name
    if not target.exists():
        target.write_bytes(lzma.decompress(packed.read_bytes()))
        target.chmod(0o755)
    return str(target)
