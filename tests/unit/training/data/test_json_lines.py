from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from training.data.json_lines import read_lines


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_lines_come_with_their_places_and_blank_ones_are_left_out(
    tmp_path: Path, name: str
) -> None:
    text = b'{"a": 1}\n\n  \n{"b": 2}'
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert list(read_lines(path)) == [(f"{path}:1", b'{"a": 1}\n'), (f"{path}:4", b'{"b": 2}')]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", b"", "is empty"),
        ("rows.jsonl", b"\n\n", "is empty"),
        ("rows.jsonl.gz", gzip.compress(b""), "is empty"),
        ("rows.jsonl.gz", gzip.compress(b"{}\n" * 999)[:-9], "is no whole gzip file"),
        ("rows.jsonl.gz", b"{}\n", "is no whole gzip file"),
        ("rows.jsonl", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_gives_no_lines_is_refused(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        list(read_lines(path))
    assert str(caught.value).startswith(f"{path} {said}")
