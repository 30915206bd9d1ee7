"""The table of values in the chart's README.md, read from the comments of values.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9_]*):(?P<rest>.*)$")
_COMMENT = re.compile(r"^ *# -- (?P<text>.+)$")
_LONGEST_DEFAULT = 60


@dataclass(frozen=True)
class Value:
    """One documented value: its path, default and meaning."""

    path: str
    default: object
    meaning: str


def documented(text: str) -> list[Value]:
    """Every value with a comment of its own, in the order of the file."""
    defaults = yaml.safe_load(text)
    found, path, comment = [], list[tuple[int, str]](), ""
    for line in text.splitlines():
        if match := _COMMENT.match(line):
            comment = match["text"]
        elif match := _LINE.match(line):
            while path and path[-1][0] >= len(match["indent"]):
                path.pop()
            path.append((len(match["indent"]), match["key"]))
            names = [name for _, name in path]
            if comment:
                value = defaults
                for name in names:
                    value = value[name]
                found.append(Value(".".join(names), value, comment))
            comment = ""
    return found


def leaves(defaults: dict[str, object], before: str = "") -> list[str]:
    """The paths of all values that hold no map, or an empty one."""
    paths = []
    for name, value in defaults.items():
        path = f"{before}{name}"
        if isinstance(value, dict) and value:
            paths += leaves(value, f"{path}.")
        else:
            paths.append(path)
    return paths


def table(text: str) -> str:
    """The table, in Markdown."""
    rows = [
        f"| `{value.path}` | {_default(value.default)} | {value.meaning} |"
        for value in documented(text)
    ]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _default(value: object) -> str:
    if value in ("", None):
        return "empty"
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    shown = shown.removesuffix("...").strip()
    return f"`{shown}`" if len(shown) <= _LONGEST_DEFAULT else "see values.yaml"
