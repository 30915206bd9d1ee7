"""Dumps without a section."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb_loader.dump import read_dump, write_manifest
from services.common.errors import ConfigurationError
from services.common.records import EntryKind, Note
from tests.unit.kb_loader.dumps import fact, note, write
from training.evaluation.dumps import Section, without


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    folder = write(
        tmp_path / "dump",
        note(id="a"),
        note(id="b", learning_summary=[]),
        note(id="c", supplementary_knowledge=[]),
    )
    write(folder, fact(), name="facts.jsonl")
    write_manifest(folder, "r1")
    return folder


@pytest.mark.parametrize(
    ("section", "ids"), [(Section.SUMMARY, ["a", "b"]), (Section.SUPPLEMENT, ["a", "c"])]
)
def test_notes_lose_the_section_and_those_left_empty_are_left_out(
    section: Section, ids: list[str], dump: Path, tmp_path: Path
) -> None:
    made = read_dump(without(section, dump, tmp_path / "made"))
    notes = [entry for entry in made.entries() if isinstance(entry.body, Note)]
    assert [entry.id for entry in notes] == ids
    assert all(getattr(entry.body, section.value) == () for entry in notes)
    assert made.counts[EntryKind.FACT] == 1


def test_a_dump_that_was_made_is_kept_and_a_torn_one_made_again(dump: Path, tmp_path: Path) -> None:
    made = without(Section.SUMMARY, dump, tmp_path / "made")
    before = (made / "notes.jsonl").stat().st_mtime_ns
    assert (without(Section.SUMMARY, dump, made) / "notes.jsonl").stat().st_mtime_ns == before
    (made / "manifest.json").unlink()
    (made / "notes.jsonl").write_text("{")
    assert read_dump(without(Section.SUMMARY, dump, made)).rows == 3


def test_an_ablation_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "dump", note(supplementary_knowledge=[]))
    write_manifest(folder, "r1")
    with pytest.raises(ConfigurationError) as raised:
        without(Section.SUMMARY, folder, tmp_path / "made")
    assert raised.value.message == f"{folder}: without learning_summary, no note says anything"
