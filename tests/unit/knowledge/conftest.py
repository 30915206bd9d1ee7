"""A store with a few entries, and its editor."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.knowledge.editing import Editor
from services.knowledge.embedded.store import EmbeddedStore
from tests.contract.knowledge_store import EMBEDDER, FRUIT, release_of, rows
from tests.unit.knowledge.edits import ADA


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "knowledge.db")
    await store.load(release_of("fruit", FRUIT), rows(FRUIT))
    await store.activate("fruit", ADA)
    yield store
    await store.close()


@pytest.fixture
def editor(store: EmbeddedStore) -> Editor:
    ticks = itertools.count(1000)
    return Editor(store, EMBEDDER, clock=lambda: float(next(ticks)))
