"""The dump format, version 1: a folder that people can read and edit.

::

    manifest.json   {"format_version": 1, "release": "2026-05-01", "description": "...",
                     "provenance": "curated",
                     "files": {"notes.jsonl": {"rows": 112, "sha256": "..."}}}
    notes.jsonl     one note a line, sorted by id; UTF-8, LF

`nesycd kb manifest` writes the manifest of a folder whose notes were edited.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from kb_loader.problems import Problems
from kb_loader.rows import MAX_LINE_BYTES, Manifest, NoteRow
from services.common.errors import ConfigurationError
from services.common.records import Entry
from services.knowledge.checksums import release_checksum

MANIFEST: Final = "manifest.json"
NOTES: Final = "notes.jsonl"


@dataclass(frozen=True, slots=True)
class Dump:
    """A folder that was found right.

    Attributes:
        checksum: of the release, over its entries.
        tasks: how many notes each task has.
    """

    folder: Path
    manifest: Manifest
    checksum: str
    tasks: dict[str, int]

    @property
    def rows(self) -> int:
        """How many notes."""
        return self.manifest.files[NOTES].rows

    def entries(self) -> Iterator[Entry]:
        """Reads the notes again, one at a time.

        Raises:
            ConfigurationError: the file was changed since it was checked.
        """
        digest = hashlib.sha256()
        with (self.folder / NOTES).open("rb") as file:
            for line in file:
                digest.update(line)
                try:
                    yield NoteRow.model_validate_json(line).entry()
                except ValidationError:
                    break
        if digest.hexdigest() != self.manifest.files[NOTES].sha256:
            raise ConfigurationError(f"{self.folder / NOTES} was changed while it was loaded.")


def read_dump(folder: Path) -> Dump:
    """Checks a whole dump.

    Raises:
        ConfigurationError: naming every file, line, field and value that is wrong, up to 20.
    """
    problems = Problems(folder)
    manifest = _read_manifest(folder, problems)
    notes = _read_notes(folder, problems)
    for name in sorted(path.name for path in folder.glob("*.jsonl")):
        if name != NOTES:
            problems.add(name, "unknown file: format 1 knows only notes.jsonl")
    if manifest is not None and not problems:
        listed = manifest.files[NOTES]
        edited = "; after an edit, run: nesycd kb manifest"
        if listed.rows != notes.rows:
            problems.add(
                MANIFEST,
                f"files.notes.jsonl.rows: {notes.rows} expected, got {listed.rows}{edited}",
            )
        elif listed.sha256 != notes.sha256:
            problems.add(
                MANIFEST,
                f"files.notes.jsonl.sha256: {notes.sha256} expected, got {listed.sha256}{edited}",
            )
    problems.raise_any()
    assert manifest is not None  # noqa: S101 - a missing manifest is a problem
    return Dump(folder, manifest, notes.checksum, notes.tasks)


def write_manifest(
    folder: Path, release: str, *, description: str | None = None, provenance: str | None = None
) -> Dump:
    """Writes the manifest of a folder whose notes are right.

    Args:
        folder: holds notes.jsonl.
        release: name of the release that the dump becomes.
        description: None keeps that of the manifest there is, or leaves it empty.
        provenance: None keeps that of the manifest there is, or says "curated".

    Raises:
        ConfigurationError: naming what is wrong in the notes, or in `release`.
    """
    problems = Problems(folder)
    notes = _read_notes(folder, problems)
    problems.raise_any()
    old = _read_manifest(folder, Problems(folder)) if (folder / MANIFEST).exists() else None
    wanted = {
        "format_version": 1,
        "release": release,
        "description": description if description is not None else old.description if old else "",
        "provenance": provenance or (old.provenance if old else "curated"),
        "files": {NOTES: {"rows": notes.rows, "sha256": notes.sha256}},
    }
    text = json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"
    manifest = problems.parse(Manifest, text.encode(), MANIFEST)
    problems.raise_any()
    assert manifest is not None  # noqa: S101 - a refused manifest is a problem
    _write(folder / MANIFEST, text)
    return Dump(folder, manifest, notes.checksum, notes.tasks)


@dataclass(frozen=True, slots=True)
class _Notes:
    rows: int
    sha256: str
    checksum: str
    tasks: dict[str, int]


def _read_manifest(folder: Path, problems: Problems) -> Manifest | None:
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        problems.add(MANIFEST, f"cannot be read: {error.strerror}")
        return None
    return problems.parse(Manifest, content, MANIFEST)


def _read_notes(folder: Path, problems: Problems) -> _Notes:
    digest = hashlib.sha256()
    tasks: Counter[str] = Counter()
    rows = 0

    def entries() -> Iterator[Entry]:
        nonlocal rows
        last = ""
        with (folder / NOTES).open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                digest.update(line)
                rows += 1
                row = _parse(line, f"{NOTES}:{number}", problems)
                if row is None:
                    continue
                if row.id <= last:
                    what = "a second time" if row.id == last else f"after {last!r}"
                    problems.add(f"{NOTES}:{number}", f"id: {row.id!r} stands {what}; sort by id")
                last = max(last, row.id)
                tasks[row.task] += 1
                yield row.entry()

    try:
        checksum = release_checksum(entries())
    except OSError as error:
        problems.add(NOTES, f"cannot be read: {error.strerror}")
        checksum = ""
    if not rows and not problems:
        problems.add(NOTES, "holds no notes")
    return _Notes(rows, digest.hexdigest(), checksum, dict(sorted(tasks.items())))


def _parse(line: bytes, place: str, problems: Problems) -> NoteRow | None:
    if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
        problems.add(place, f"the line is longer than {MAX_LINE_BYTES} bytes")
    elif line.startswith(b"\xef\xbb\xbf"):
        problems.add(place, "the file begins with a byte order mark; save it as plain UTF-8")
    elif line.endswith(b"\r\n"):
        problems.add(place, "the line ends in CR LF; save the file with LF line ends")
    elif not line.strip():
        problems.add(place, "the line is empty")
    else:
        return problems.parse(NoteRow, line.rstrip(b"\n"), place)
    return None


def _write(path: Path, text: str) -> None:
    """Writes a file so that it is there in full or not at all."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as part:
        part.write(text)
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)
