"""The chart's README.md lists every value, with the default and the comment of values.yaml."""

from __future__ import annotations

import json
import os

import yaml

from tests.chart import CHART
from tests.chart_table import documented, leaves, table

_BEGIN, _END = "<!-- table: begin -->\n", "<!-- table: end -->"


def test_the_readme_lists_every_value_as_values_yaml_has_it() -> None:
    readme = CHART / "README.md"
    before, _, rest = readme.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    text = before + _BEGIN + table((CHART / "values.yaml").read_text()) + _END + after
    if os.environ.get("NESYCD_TEST_WRITE_DOCS"):
        readme.write_text(text)
    assert readme.read_text() == text


def test_every_value_has_a_comment() -> None:
    text = (CHART / "values.yaml").read_text()
    commented = [value.path for value in documented(text)]
    bare = [
        path
        for path in leaves(yaml.safe_load(text))
        # A value inside a documented map, for instance a security context, needs none of its own.
        if path not in commented and not _inside_documented_map(path, commented)
    ]
    assert bare == []


def test_the_schema_knows_every_value_and_nothing_else_by_name() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(defaults)
    assert schema["additionalProperties"] is False
    for name, value in defaults.items():
        inner = schema["properties"][name]
        if isinstance(value, dict) and inner.get("additionalProperties") is False:
            assert set(inner["properties"]) - {"resources"} == set(value) - {"resources"}, name


def test_a_comment_belongs_to_the_value_below_it_and_to_its_path() -> None:
    text = "a:\n  # -- Of b.\n  b: 1\n  c: 2\n# -- Of d.\nd:\n  e: x\n"
    assert [(value.path, value.default, value.meaning) for value in documented(text)] == [
        ("a.b", 1, "Of b."),
        ("d", {"e": "x"}, "Of d."),
    ]
    assert leaves(yaml.safe_load(text)) == ["a.b", "a.c", "d.e"]


def _inside_documented_map(path: str, commented: list[str]) -> bool:
    names = path.split(".")
    parents = {".".join(names[:end]) for end in range(1, len(names))}
    return any(
        parent in commented
        for parent in parents
        # These describe their values one by one.
        if parent
        not in {"settings", "settings.serve", "ray.head", "knowledge", "adapters", "cache"}
        and parent not in {"loader", "test"}
    )
