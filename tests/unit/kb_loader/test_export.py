from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kb_loader.dump import Dump, read_dump, write_manifest
from kb_loader.export import export_release
from kb_loader.load import load_dump
from kb_loader.tidy import tidy_files
from services.common.errors import ConfigurationError, ReleaseNotFoundError
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from tests.unit.kb_loader.dumps import fact, message, note, write, write_all

SAMPLE = Path(__file__).parents[3] / "kb_loader" / "sample"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "knowledge.db")
    yield store
    await store.close()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".md"}


async def load(store: EmbeddedStore, dump: Dump) -> None:
    await load_dump(dump, HashEmbedder(), store, activate_by=None)


async def export(store: EmbeddedStore, name: str, folder: Path, **how: bool) -> None:
    releases = {release.name: release for release in await store.releases()}
    await export_release(store, releases[name], folder, **how)


async def test_the_export_of_the_sample_is_the_sample(store: EmbeddedStore, tmp_path: Path) -> None:
    dump = read_dump(SAMPLE)
    await load(store, dump)
    await export(store, dump.manifest.release, tmp_path / "out")
    assert content(tmp_path / "out") == content(SAMPLE)


async def test_every_field_of_the_manifest_and_of_the_rows_comes_back(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    folder = write_all(tmp_path / "in")
    write(folder, fact(concepts=["family", "Äß"], question="Who?", task="t"), name="facts.jsonl")
    write_manifest(folder, "r1", description='for "people"\n☃', provenance="us", parent="r0")
    await load(store, read_dump(folder))
    await export(store, "r1", tmp_path / "out")
    assert content(tmp_path / "out") == content(folder)


async def test_an_export_with_vectors_is_loaded_and_exported_again_unchanged(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    write_manifest(write_all(tmp_path / "in"), "r1")
    await load(store, read_dump(tmp_path / "in"))
    await export(store, "r1", tmp_path / "out", with_vectors=True, compressed=True)
    dump = read_dump(tmp_path / "out")
    assert dump.manifest.embedding is not None
    assert dump.manifest.embedding.checksum == HashEmbedder().checksum
    other = EmbeddedStore(tmp_path / "other.db")
    loaded = await load_dump(dump, HashEmbedder(), other, activate_by=None)
    assert loaded.vectors == "given"
    await export(other, "r1", tmp_path / "again", with_vectors=True, compressed=True)
    await other.close()
    assert content(tmp_path / "again") == content(tmp_path / "out")


async def test_vectors_are_in_the_order_of_all_ids(store: EmbeddedStore, tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path / "in"), "r1")
    await load(store, read_dump(tmp_path / "in"))
    await export(store, "r1", tmp_path / "out", with_vectors=True)
    entries = [*read_dump(tmp_path / "out").entries()]
    wanted = HashEmbedder().embed([entry.searched_text for entry in entries])
    assert np.array_equal(np.load(tmp_path / "out" / "vectors.npy"), wanted)


async def test_a_folder_that_is_not_empty_is_left_alone(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    write_manifest(write_all(tmp_path / "in"), "r1")
    await load(store, read_dump(tmp_path / "in"))
    before = content(tmp_path / "in")
    with pytest.raises(ConfigurationError, match="is not empty; name a new folder"):
        await export(store, "r1", tmp_path / "in")
    assert content(tmp_path / "in") == before
    (tmp_path / "empty").mkdir()
    await export(store, "r1", tmp_path / "empty")
    assert content(tmp_path / "empty") == before


async def test_an_export_that_fails_leaves_nothing(store: EmbeddedStore, tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path / "in"), "r1")
    await load(store, read_dump(tmp_path / "in"))
    (gone,) = await store.releases()
    await store.close()
    other = EmbeddedStore(tmp_path / "other.db")
    with pytest.raises(ReleaseNotFoundError):
        await export_release(other, gone, tmp_path / "deep" / "out")
    await other.close()
    assert [*(tmp_path / "deep").iterdir()] == []


ids = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Mn")), min_size=1, max_size=4
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20).filter(
    str.strip
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(ids, st.tuples(texts, texts), min_size=1, max_size=6),
    description=texts,
)
async def test_any_tidy_dump_makes_the_round_trip(
    rows: dict[str, tuple[str, str]], description: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    lines = [
        note(id=name, question=first, learning_summary=[second])
        if place % 2
        else fact(id=name, subject=first, object=second)
        for place, (name, (first, second)) in enumerate(sorted(rows.items()))
    ]
    write(folder / "in", *lines[1::2], name="notes.jsonl") if lines[1:] else None
    write(folder / "in", *lines[::2], name="facts.jsonl")
    assert tidy_files(folder / "in") == ()
    write_manifest(folder / "in", "r", description=description)
    store = EmbeddedStore(folder / "knowledge.db")
    await load(store, read_dump(folder / "in"))
    await export(store, "r", folder / "out")
    await store.close()
    assert content(folder / "out") == content(folder / "in")


def test_tidied_files_are_as_an_export_would_write_them(tmp_path: Path) -> None:
    text = "\ufeff" + json.dumps({**json.loads(note(id="b"))}) + "\r\n\n" + note(id="a")
    (tmp_path / "notes.jsonl").write_bytes(text.encode())
    write(tmp_path, fact(), name="facts.jsonl.gz")
    assert tidy_files(tmp_path) == ("notes.jsonl",)
    assert (tmp_path / "notes.jsonl").read_text() == f"{note(id='a')}\n{note(id='b')}\n"
    assert tidy_files(tmp_path) == ()


def test_nothing_is_tidied_while_a_row_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, note(id="b"), note(id="a"))
    before = (tmp_path / "notes.jsonl").read_bytes()
    write(tmp_path, fact(subject=""), name="facts.jsonl")
    assert "facts.jsonl:1: subject: is empty" in message(tidy_files, tmp_path)
    assert (tmp_path / "notes.jsonl").read_bytes() == before
