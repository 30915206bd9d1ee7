"""A few rounds of tests/kill; `make kill` is the long form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import missing
from tests.neo4j_server import distribution

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("store", "victim", "rounds"),
    [("embedded", "writer", 5), ("neo4j", "writer", 4), ("neo4j", "server", 2)],
)
def test_nothing_is_lost_or_half_visible(store: str, victim: str, rounds: int) -> None:
    if store == "neo4j" and distribution() is None:
        missing("no Neo4j to kill: set NESYCD_TEST_NEO4J or NEO4J_HOME")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.kill", "--rounds", str(rounds)),
            *("--store", store, "--victim", victim),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "nothing lost, nothing half visible" in done.stdout
