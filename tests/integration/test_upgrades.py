"""The short form of tests/upgrades: no call fails while a running service is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


def test_no_call_fails_while_everything_is_upgraded() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.upgrades", "--callers", "2", "--settle", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # Ray writes lines of its own between them.
    lines = done.stdout.splitlines()
    assert "0 calls failed" in lines
    steps = [line for line in lines if line.endswith(" 0 failed")]
    assert len(steps) == 6
    assert not [line for line in steps if " 0 asked" in line or " 0 streamed" in line]
