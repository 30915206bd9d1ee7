"""The Dockerfiles of helm/images, read as far as the tests need it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.promql import ROOT

IMAGES = sorted((ROOT / "helm" / "images").glob("*.Dockerfile"))


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, and the rest on one line."""

    word: str
    rest: str


def stages(dockerfile: Path) -> list[list[Instruction]]:
    """The instructions of each stage, FROM first; ARGs before the first FROM are left out."""
    lines = [
        line
        for line in dockerfile.read_text("utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(word, rest))
    return found


def arguments(dockerfile: Path) -> dict[str, str]:
    """The defaults of every ARG."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile.read_text("utf-8"), re.MULTILINE))
