"""Records of benchmark files, and files of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from training.rows import Question


def record(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A line of a BBH file."""
    return {
        "id": f"bbh-navigate-{number:05}",
        "dataset": "bbh",
        "task": "navigate",
        "question": f"Take {number} steps. Do you return to the start?",
        "choices": None,
        "answer": "No",
        "rationale": None,
        "source": "suzgunmirac/BIG-Bench-Hard@9ee07bd481fe:bbh/navigate.json#1",
    } | changes


def write(path: Path, *records: object) -> Path:
    """One record a line; a text is a line as it is."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def question(number: int = 1, task: str = "navigate") -> Question:
    return Question(key=f"bbh-{task}-{number:05}", dataset="bbh", task=task, text="?", gold="No")
