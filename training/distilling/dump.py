"""Writes entries as a dump, the way kb_loader does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from kb_loader.dump import Dump, write_file, write_manifest
from kb_loader.manifest import STEMS
from services.common.errors import ConfigurationError
from services.common.records import Entry
from services.knowledge.content import write_row


def write_dump(
    entries: Sequence[Entry], folder: Path, release: str, *, description: str, provenance: str
) -> Dump:
    """Writes a folder that `nesycd kb load` takes, in place of any that is there.

    Args:
        entries: sorted by id.
        folder: of the dump.
        release: its name.
        description: for people.
        provenance: who or what made it.

    Raises: ConfigurationError: it cannot be written, or the entries are no dump.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    for kind, name in STEMS.items():
        lines = [f"{write_row(entry)}\n" for entry in entries if entry.kind is kind]
        if lines:
            write_file(folder / name, "".join(lines).encode())
    return write_manifest(folder, release, description=description, provenance=provenance)
