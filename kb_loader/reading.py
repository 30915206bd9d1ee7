"""Reads the data files of a dump as one stream of entries, and checks them as it goes."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final

from kb_loader.lines import MAX_LINE_BYTES, UNREADABLE, Lines, why_unreadable
from kb_loader.manifest import STEMS, VECTORS
from kb_loader.problems import Problems
from services.common.records import Entry, Fact, Rule
from services.knowledge.checksums import release_checksum
from services.knowledge.content import ROWS, entry_of, write_row
from services.knowledge.rules.check import check_rules
from services.knowledge.rules.language import Clause
from services.knowledge.rules.parsing import parse_rule

_DATA_FILES: Final = tuple(name for stem in STEMS.values() for name in (stem, f"{stem}.gz"))


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry, where it stands, and its line as it is written there."""

    entry: Entry
    file: str
    line: int
    written: bytes

    @property
    def place(self) -> str:
        """FILE:LINE."""
        return f"{self.file}:{self.line}"

    @property
    def is_respelled(self) -> bool:
        """Whether an export would write the line otherwise."""
        return self.written != f"{write_row(self.entry)}\n".encode()


@dataclass(frozen=True, slots=True)
class Summary:
    """What was found in the data files of a folder.

    Attributes:
        files: those that are there.
        checksum: of the release, over its entries.
        tasks: how many entries each task has.
        respelled: how many lines an export would write in another spelling.
    """

    files: tuple[Lines, ...]
    checksum: str
    tasks: dict[str, int]
    respelled: int


def data_files(folder: Path) -> tuple[Lines, ...]:
    """The data files of a folder."""
    return tuple(Lines(folder / name) for name in _DATA_FILES if (folder / name).exists())


def check_entries(folder: Path, problems: Problems, on_progress: Callable[[int], None]) -> Summary:
    """Reads every entry once, holding few of them, and notes what is wrong.

    `on_progress` is called with the number of entries just read.
    """
    files = data_files(folder)
    _check_names(folder, files, problems)
    tasks: Counter[str] = Counter()
    rules = _Rules()
    respelled = 0

    def entries() -> Iterator[Entry]:
        nonlocal respelled
        before: Placed | None = None
        for placed in merged(files, problems):
            if before is not None and before.entry.id == placed.entry.id:
                if before.file != placed.file:
                    also = f"stands also at {before.place}"
                    problems.add(placed.place, f"id: {placed.entry.id!r} {also}")
                continue
            before = placed
            tasks[placed.entry.task] += 1
            respelled += placed.is_respelled
            rules.add(placed)
            on_progress(1)
            yield placed.entry

    checksum = release_checksum(entries())
    rules.check(problems)
    return Summary(files, checksum, dict(sorted(tasks.items())), respelled)


def merged(files: Iterable[Lines], problems: Problems) -> Iterator[Placed]:
    """The right entries of sorted files, by id in code point order."""
    return heapq.merge(*(_placed(file, problems) for file in files), key=attrgetter("entry.id"))


def _check_names(folder: Path, files: tuple[Lines, ...], problems: Problems) -> None:
    for path in sorted(folder.glob("*.jsonl*")) + sorted(folder.glob("*.npy")):
        if path.name not in (*_DATA_FILES, VECTORS):
            problems.add(path.name, f"unknown file: format 1 has {', '.join(STEMS.values())}")
    names = {file.name for file in files}
    for stem in STEMS.values():
        if {stem, f"{stem}.gz"} <= names:
            problems.add(f"{stem}.gz", f"{stem} is there too; delete one of them")
    if not files:
        problems.add(next(iter(STEMS.values())), "is missing, and so is every other data file")


def _placed(file: Lines, problems: Problems) -> Iterator[Placed]:
    last = ""
    model = ROWS[file.kind]
    try:
        for line in file.read():
            place = f"{file.name}:{file.rows}"
            content = _content(line, place, problems)
            row = None if content is None else problems.parse(model, content, place)
            if row is None:
                continue
            if row.id <= last:
                what = "a second time" if row.id == last else f"after {last!r}"
                problems.add(place, f"id: {row.id!r} stands {what}; sort by id")
            last = max(last, row.id)
            yield Placed(entry_of(row), file.name, file.rows, line)
    except UNREADABLE as error:
        problems.add(file.name, why_unreadable(error))
    else:
        if not file.rows:
            problems.add(file.name, "holds no entries")


def _content(line: bytes, place: str, problems: Problems) -> bytes | None:
    """The line without its end; None, and a problem, when it is not a line of a dump."""
    if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
        problems.add(place, f"the line is longer than {MAX_LINE_BYTES} bytes")
    elif line.startswith(b"\xef\xbb\xbf"):
        problems.add(place, "the file begins with a byte order mark; save it as plain UTF-8")
    elif line.endswith(b"\r\n"):
        problems.add(place, "the line ends in CR LF; save the file with LF line ends")
    elif not line.strip():
        problems.add(place, "the line is empty")
    else:
        return line.removesuffix(b"\n")
    return None


class _Rules:
    """The rules of a dump, which are right or wrong only together."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self._clauses: dict[str, Clause] = {}
        self._relations: set[str] = set()

    def add(self, placed: Placed) -> None:
        """Takes the entry in, if it matters to rules."""
        body = placed.entry.body
        if isinstance(body, Rule):
            self._places[placed.entry.id] = placed.place
            self._clauses[placed.entry.id] = parse_rule(body.text)
        elif isinstance(body, Fact):
            self._relations.add(body.relation)

    def check(self, problems: Problems) -> None:
        """Notes every rule that is refused."""
        for problem in check_rules(self._clauses, self._relations):
            problems.add(self._places[problem.rule_id], f"rule: {problem.reason.rstrip('.')}")
