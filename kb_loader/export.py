"""Writes a release as a dump: the same bytes each time, and those of the dump it came from."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from kb_loader.dump import write_file
from kb_loader.manifest import MANIFEST, STEMS, VECTORS, EmbeddingModel, Manifest, ManifestFile
from kb_loader.problems import Problems
from kb_loader.vectors import header
from services.common.errors import ConfigurationError
from services.common.records import EntryKind
from services.knowledge.content import write_row
from services.knowledge.protocol import KnowledgeStore, Release


async def export_release(
    store: KnowledgeStore,
    release: Release,
    folder: Path,
    *,
    compressed: bool = False,
    with_vectors: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Writes a release to a folder, which appears in full or not at all.

    Args:
        store: where the release is.
        release: which.
        folder: must not be there, or be empty.
        compressed: write .jsonl.gz.
        with_vectors: write vectors.npy too; a load with the same embedder is spared the work.
        on_progress: called with the number of entries just written.

    Raises:
        ConfigurationError: the folder cannot be written.
        ReleaseNotFoundError, KnowledgeUnavailableError: the store cannot give it.
    """
    with _new_folder(folder) as part:
        return await _write(
            store,
            release,
            part,
            compressed=compressed,
            with_vectors=with_vectors,
            on_progress=on_progress,
        )


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` at the end of the block."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(f"{folder} is not empty; name a new folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield part
            part.chmod(0o755)
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}.") from error


class _Writer:
    """One file, and what the manifest says about it."""

    def __init__(self, path: Path, opened: ExitStack) -> None:
        raw = opened.enter_context(path.open("wb"))
        self._file: BufferedIOBase = raw
        if path.suffix == ".gz":
            # Neither name nor time, so that the same lines are the same bytes.
            packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
            self._file = opened.enter_context(packed)
        self._digest = hashlib.sha256()
        self.rows = 0

    def write(self, content: bytes, *, rows: int = 1) -> None:
        self._file.write(content)
        self._digest.update(content)
        self.rows += rows

    def listed(self) -> ManifestFile:
        return ManifestFile(rows=self.rows, sha256=self._digest.hexdigest())


async def _write(
    store: KnowledgeStore,
    release: Release,
    folder: Path,
    *,
    compressed: bool,
    with_vectors: bool,
    on_progress: Callable[[int], None],
) -> Manifest:
    files: dict[EntryKind, _Writer] = {}
    ending = ".gz" if compressed else ""
    with ExitStack() as opened:
        vectors = _Writer(folder / VECTORS, opened) if with_vectors else None
        if vectors is not None:
            vectors.write(header(release.entries, release.dimension), rows=0)
        async for entry, vector in store.entries(release.name):
            if entry.kind not in files:
                name = STEMS[entry.kind] + ending
                files[entry.kind] = _Writer(folder / name, opened)
            files[entry.kind].write(f"{write_row(entry)}\n".encode())
            if vectors is not None:
                vectors.write(np.asarray(vector, dtype="<f4").tobytes())
            on_progress(1)
    listed = {STEMS[kind] + ending: files[kind].listed() for kind in STEMS if kind in files}
    if vectors is not None:
        listed[VECTORS] = vectors.listed()
    problems = Problems(folder)
    manifest = problems.check(
        Manifest,
        {
            "format_version": 1,
            "release": release.name,
            "description": release.description,
            "provenance": release.provenance,
            "parent": release.parent or None,
            "embedding": _encoder(release) if with_vectors else None,
            "files": listed,
        },
        MANIFEST,
    )
    problems.raise_any()
    assert manifest is not None  # noqa: S101 - a refused manifest is a problem
    write_file(folder / MANIFEST, manifest.json_text().encode())
    return manifest


def _encoder(release: Release) -> EmbeddingModel:
    return EmbeddingModel(
        model=release.embedding_model,
        checksum=release.embedding_checksum,
        dimension=release.dimension,
    )
