from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kb_loader.dump import read_dump, write_manifest
from kb_loader.load import load_dump
from kb_loader.stats import read_stats
from services.common.records import Authorship, EntryStatus
from services.knowledge.checksums import etag
from services.knowledge.editing import Editor
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import Uses
from tests.unit.kb_loader.dumps import write_all
from tests.unit.kb_loader.entries import note_entry

ME = Authorship("me")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "knowledge.db")
    yield store
    await store.close()


async def test_an_empty_store_has_nothing_to_count(store: EmbeddedStore) -> None:
    found = await read_stats(store)
    assert (found.releases, found.active, found.kinds, found.waiting) == ((), None, {}, 0)
    assert (found.most_used, found.never_used) == ((), ())


async def test_entries_edits_and_uses_are_counted(store: EmbeddedStore, tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path / "in"), "r1", provenance="us")
    await load_dump(read_dump(tmp_path / "in"), HashEmbedder(), store, activate_by=ME)
    editor = Editor(store, HashEmbedder())
    draft = await editor.create(note_entry("new", "q"), ME)
    other = await editor.create(note_entry("other", "q"), ME)
    await editor.review("new", etag(draft), EntryStatus.ACCEPTED, ME)
    await store.record_use(["n000", "n001", "n000"])
    await store.record_outcome(["n000"], right=False)
    found = await read_stats(store)
    assert found.kinds == {"fact": 2, "note": 3, "rule": 1}
    assert found.tasks == {"": 3, "ages": 3}
    assert found.provenances == {"curated": 6}
    assert found.statuses["draft"] == 1
    assert found.statuses["accepted"] == 7
    assert (found.waiting, other.status) == (1, EntryStatus.DRAFT)
    assert found.most_used == (("n000", Uses(2, 0, 1)), ("n001", Uses(1, 0, 0)))
    assert found.never_used == ("f1", "f2", "kinship-001", "n002")
