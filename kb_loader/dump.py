"""The dump format, version 1: a folder that people can read and edit (docs/dump-format.md).

::

    manifest.json   {"format_version": 1, "release": "2026-05-01", "description": "...",
                     "provenance": "curated", "parent": "2026-04-01",
                     "embedding": {"model": "...", "checksum": "...", "dimension": 384},
                     "files": {"notes.jsonl": {"rows": 112, "sha256": "..."}, ...}}
    notes.jsonl     one note a line, sorted by id; UTF-8, LF
    rules.jsonl     rules, likewise; of the three files any may be missing, not all
    facts.jsonl     facts, likewise
    vectors.npy     float32 (entries, dimension), in the order of all ids; may be missing

Each .jsonl may be compressed, with .gz behind its name. `nesycd kb manifest` writes the
manifest of a folder that was edited.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kb_loader.lines import Lines, why_unreadable
from kb_loader.manifest import MANIFEST, VECTORS, Manifest, ManifestFile
from kb_loader.problems import Problems
from kb_loader.reading import Summary, check_entries, merged
from kb_loader.vectors import check_vectors
from services.common.errors import ConfigurationError
from services.common.records import Entry, EntryKind

_EDITED = "; after an edit, run: nesycd kb manifest"


@dataclass(frozen=True, slots=True)
class Dump:
    """A folder that was found right.

    Attributes:
        checksum: of the release, over its entries.
        tasks: how many entries each task has.
        respelled: how many lines an export would write in another spelling.
    """

    folder: Path
    manifest: Manifest
    checksum: str
    tasks: Mapping[str, int]
    respelled: int = 0

    @property
    def rows(self) -> int:
        """How many entries."""
        return self.manifest.rows

    @property
    def counts(self) -> dict[EntryKind, int]:
        """How many entries of each kind that there is one of."""
        return self.manifest.counts()

    def entries(self) -> Iterator[Entry]:
        """Reads the entries again, by id in code point order, one at a time.

        Raises:
            ConfigurationError: a file was changed since it was checked.
        """
        listed = {name: file for name, file in self.manifest.files.items() if name != VECTORS}
        files = [Lines(self.folder / name) for name in listed]
        ignored = Problems(self.folder)  # the checksum tells
        for placed in merged(files, ignored):
            yield placed.entry
        for file, known in zip(files, listed.values(), strict=True):
            if file.sha256 != known.sha256:
                raise ConfigurationError(f"{file.path} was changed while it was read.")


def read_dump(folder: Path, on_progress: Callable[[int], None] = lambda _: None) -> Dump:
    """Checks a whole dump.

    Args:
        folder: of the dump.
        on_progress: called with the number of entries just read.

    Raises:
        ConfigurationError: naming every file, line, field and value that is wrong, up to 20.
    """
    problems = Problems(folder)
    manifest = _read_manifest(folder, problems)
    found = check_entries(folder, problems, on_progress)
    if manifest is not None and not problems:
        _compare(manifest, found, folder, problems)
    problems.raise_any()
    assert manifest is not None  # noqa: S101 - a missing manifest is a problem
    return Dump(folder, manifest, found.checksum, found.tasks, found.respelled)


def write_manifest(
    folder: Path,
    release: str,
    *,
    description: str | None = None,
    provenance: str | None = None,
    parent: str | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Dump:
    """Writes the manifest of a folder whose entries are right.

    Args:
        folder: holds the data files.
        release: name of the release that the dump becomes.
        description: None keeps that of the manifest there is, or leaves it empty.
        provenance: None keeps that of the manifest there is, or says "curated".
        parent: release that it was made from, "" for none; None keeps that of the manifest
            there is.
        on_progress: called with the number of entries just read.

    Raises:
        ConfigurationError: naming what is wrong in the entries, or in the arguments.
    """
    problems = Problems(folder)
    found = check_entries(folder, problems, on_progress)
    problems.raise_any()
    old = _read_manifest(folder, Problems(folder)) if (folder / MANIFEST).exists() else None
    files = {file.name: ManifestFile(rows=file.rows, sha256=file.sha256) for file in found.files}
    embedding = None
    if (folder / VECTORS).exists():
        if old is not None and old.embedding is not None and _lists(old, found):
            embedding = old.embedding
            files[VECTORS] = old.files[VECTORS]
        else:
            problems.add(VECTORS, "was made for other entries; delete it")
    wanted = {
        "format_version": 1,
        "release": release,
        "description": description if description is not None else old.description if old else "",
        "provenance": provenance or (old.provenance if old else "curated"),
        "parent": (parent if parent is not None else old.parent if old else None) or None,
        "embedding": embedding,
        "files": files,
    }
    manifest = problems.check(Manifest, wanted, MANIFEST)
    problems.raise_any()
    assert manifest is not None  # noqa: S101 - a refused manifest is a problem
    write_file(folder / MANIFEST, manifest.json_text().encode())
    return Dump(folder, manifest, found.checksum, found.tasks, found.respelled)


def _read_manifest(folder: Path, problems: Problems) -> Manifest | None:
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        problems.add(MANIFEST, why_unreadable(error))
        return None
    return problems.parse(Manifest, content, MANIFEST)


def _lists(manifest: Manifest, found: Summary) -> bool:
    """Whether the manifest lists these entries, compressed or not."""
    listed = {file.sha256 for name, file in manifest.files.items() if name != VECTORS}
    return listed == {file.sha256 for file in found.files}


def _compare(manifest: Manifest, found: Summary, folder: Path, problems: Problems) -> None:
    """Notes where the manifest says something else than the files."""
    there = {file.name: file for file in found.files}
    for name, listed in manifest.files.items():
        if name == VECTORS:
            continue
        file = there.pop(name, None)
        if file is None:
            problems.add(name, f"is missing, but {MANIFEST} lists it{_EDITED}")
        elif listed.rows != file.rows:
            _differs(name, "rows", file.rows, listed.rows, problems)
        elif listed.sha256 != file.sha256:
            _differs(name, "sha256", file.sha256, listed.sha256, problems)
    for unlisted in there:
        problems.add(unlisted, f"is not listed in {MANIFEST}{_EDITED}")
    if manifest.embedding is not None and not problems:
        dimension = manifest.embedding.dimension
        listed = manifest.files[VECTORS]
        sha256 = check_vectors(folder, manifest.rows, dimension, problems)
        if sha256 and sha256 != listed.sha256:
            _differs(VECTORS, "sha256", sha256, listed.sha256, problems)
    elif manifest.embedding is None and (folder / VECTORS).exists():
        problems.add(VECTORS, f"is not listed in {MANIFEST}; delete it")


def _differs(name: str, field: str, found: object, listed: object, problems: Problems) -> None:
    problems.add(MANIFEST, f"files.{name}.{field}: {found} expected, got {listed}{_EDITED}")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file so that it is there in full or not at all.

    Raises: ConfigurationError when it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            part.write(content)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
