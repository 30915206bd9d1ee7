"""Dumps for tests: lines of each kind, and folders of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError

NOTE = {
    "id": "ages-001",
    "revision": 1,
    "task": "ages",
    "question": "How old is Liv — now?",
    "learning_summary": ["Write an equation."],
    "supplementary_knowledge": ["older = younger + difference"],
    "source": "",
    "provenance": "curated",
}
RULE = {
    "id": "kinship-001",
    "revision": 1,
    "task": "",
    "question": "",
    "rule": "grandparent(X, Z) :- parent(X, Y), parent(Y, Z).",
    "confidence": 1.0,
    "source": "",
    "provenance": "curated",
}
FACT = {
    "id": "kinship-101",
    "revision": 1,
    "task": "",
    "question": "",
    "subject": "Ann",
    "relation": "parent",
    "object": "Bob",
    "source": "",
    "provenance": "curated",
}


def note(**changes: object) -> str:
    """A note's line; the value ... leaves a field out."""
    return _line(NOTE, changes)


def rule(**changes: object) -> str:
    """A rule's line."""
    return _line(RULE, changes)


def fact(**changes: object) -> str:
    """A fact's line."""
    return _line(FACT, changes)


def _line(row: dict[str, object], changes: dict[str, object]) -> str:
    values = {key: value for key, value in {**row, **changes}.items() if value is not ...}
    return json.dumps(values, ensure_ascii=False)


def write(folder: Path, *lines: str, name: str = "notes.jsonl") -> Path:
    """Writes a data file; compressed if its name says so."""
    folder.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{text}\n" for text in lines).encode()
    packed = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
    (folder / name).write_bytes(packed)
    return folder


def write_all(folder: Path, *, notes: int = 3) -> Path:
    """A folder with some notes, a rule and two facts; no manifest yet."""
    write(folder, *(note(id=f"n{i:03}", question=f"question {i}") for i in range(notes)))
    write(folder, rule(), name="rules.jsonl")
    facts = (fact(id="f1"), fact(id="f2", subject="Bob", object="Cem"))
    write(folder, *facts, name="facts.jsonl")
    return folder


def message(call: Callable[..., object], *args: object, **kwargs: object) -> str:
    """What a refused call says."""
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **kwargs)
    return caught.value.message
