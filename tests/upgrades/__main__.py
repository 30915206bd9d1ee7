"""Upgrades a running service in every way that is promised to drop no call, under load.

    python -m tests.upgrades                      # 4 callers that ask, 4 that stream
    python -m tests.upgrades --callers 2 --settle 2 --no-retries

A Ray of its own serves the scripted student, deployed by a Serve config as KubeRay does it; two
gateways stand before it, and the callers spread over both and repeat what was
UNAVAILABLE, as a client of a headless Kubernetes Service does. While they call, one step follows
the other: settings changed in place, an adapter's new version, a knowledge release activated and
rolled back, replicas added and taken away, each gateway restarted. Every call that fails is
counted and told; the exit code is 1 if there was one.

What it cannot do without Kubernetes is a new image: docs/upgrades.md says how that goes.
CI runs the short form (tests/integration/test_upgrades.py).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.upgrades.cluster import Cluster, running_cluster
from tests.upgrades.load import Load
from tests.upgrades.steps import STEPS


async def drive(cluster: Cluster, *, callers: int, settle_s: float, retries: bool) -> int:
    """Every step under load. Returns how many calls failed."""
    failed = 0
    async with Load(cluster.addresses, callers=callers, retries=retries) as load:
        for step in STEPS:
            load.begin(step.__name__)
            started = time.monotonic()
            await asyncio.sleep(settle_s)
            await asyncio.to_thread(step, cluster)
            await asyncio.sleep(settle_s)
            tally = load.end()
            failed += len(tally.failures)
            print(  # noqa: T201
                f"{step.__name__:24} {time.monotonic() - started:6.1f} s {tally.asked:6} asked "
                f"{tally.streamed:6} streamed {len(tally.failures):4} failed",
                flush=True,
            )
            for failure in tally.failures[:10]:
                print(f"    {failure}", flush=True)  # noqa: T201
    return failed


def main() -> int:
    """Parses, drives, says what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.upgrades",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--callers", type=int, default=4, help="that ask, and as many that stream")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before and after a step")
    parser.add_argument("--no-retries", action="store_true", help="callers give up at once")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_cluster(Path(folder)) as cluster,
    ):
        failed = asyncio.run(
            drive(
                cluster,
                callers=arguments.callers,
                settle_s=arguments.settle,
                retries=not arguments.no_retries,
            )
        )
    print(f"{failed} calls failed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
