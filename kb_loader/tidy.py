"""Rewrites the files of a hand-edited folder as an export would write them."""

from __future__ import annotations

import gzip
from pathlib import Path

from kb_loader.dump import write_file
from kb_loader.lines import UNREADABLE, Lines, why_unreadable
from kb_loader.problems import Problems
from kb_loader.reading import data_files
from services.knowledge.content import ROWS, entry_of, write_row

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def tidy_files(folder: Path) -> tuple[str, ...]:
    """Sorts the entries by id and spells them all alike; LF line ends, no empty lines.

    Holds all of them in memory.

    Returns:
        Names of the files that were rewritten.

    Raises:
        ConfigurationError: naming every line, field and value that is wrong, up to 20; then
            nothing is rewritten.
    """
    problems = Problems(folder)
    rewritten = {}
    for file in data_files(folder):
        tidied = _tidied(file, problems)
        if not problems and tidied != b"".join(file.read()):
            is_packed = file.path.suffix == ".gz"
            rewritten[file.path] = gzip.compress(tidied, mtime=0) if is_packed else tidied
    problems.raise_any()
    for path, content in rewritten.items():
        write_file(path, content)
    return tuple(path.name for path in rewritten)


def _tidied(file: Lines, problems: Problems) -> bytes:
    entries = []
    try:
        for line in file.read():
            content = line.removeprefix(_BYTE_ORDER_MARK).strip()
            if not content:
                continue
            row = problems.parse(ROWS[file.kind], content, f"{file.name}:{file.rows}")
            if row is not None:
                entries.append(entry_of(row))
    except UNREADABLE as error:
        problems.add(file.name, why_unreadable(error))
    entries.sort(key=lambda entry: entry.id)
    return "".join(f"{write_row(entry)}\n" for entry in entries).encode()
