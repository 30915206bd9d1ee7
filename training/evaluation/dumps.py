"""Dumps whose notes lack a section, for the ablations without summary and without supplement."""

from __future__ import annotations

import shutil
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from kb_loader.dump import read_dump, write_file, write_manifest
from kb_loader.manifest import MANIFEST, STEMS
from services.common.errors import ConfigurationError
from services.common.records import Entry, EntryKind, Note
from services.knowledge.content import write_row


class Section(StrEnum):
    """Of a note; the value is its field."""

    SUMMARY = "learning_summary"
    SUPPLEMENT = "supplementary_knowledge"


def without(section: Section, dump: Path, folder: Path) -> Path:
    """Writes a dump anew without one section of its notes, unless `folder` holds it already.

    Notes that have no other section are left out; rules and facts stay as they are.

    Raises: ConfigurationError: the dump is wrong, or no note is left.
    """
    if (folder / MANIFEST).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines: dict[EntryKind, list[str]] = {}
    found = read_dump(dump)
    for entry in found.entries():
        kept = _without(section, entry)
        if kept is not None:
            lines.setdefault(entry.kind, []).append(f"{write_row(kept)}\n")
    if EntryKind.NOTE not in lines:
        raise ConfigurationError(f"{dump}: without {section.value}, no note says anything")
    for kind, rows in lines.items():
        write_file(folder / STEMS[kind], "".join(rows).encode())
    write_manifest(folder, found.manifest.release, provenance=f"ablation without {section.value}")
    return folder


def _without(section: Section, entry: Entry) -> Entry | None:
    if not isinstance(entry.body, Note):
        return entry
    body = (
        Note((), entry.body.supplementary_knowledge)
        if section is Section.SUMMARY
        else Note(entry.body.learning_summary, ())
    )
    return replace(entry, body=body) if body.text else None
