"""What becomes a release, over a real store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError, EditRefusedError, ReleaseNotFoundError
from services.common.records import Entry, Fact, Rule
from services.knowledge.checksums import etag
from services.knowledge.editing import Editor
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery
from tests.contract.knowledge_store import EMBEDDER, FRUIT, entry, release_of, rows, vector
from tests.unit.knowledge.edits import ADA, BOB, accepted, tag


def graph_entry(entry_id: str, body: Rule | Fact) -> Entry:
    return Entry(entry_id, 1, "", "", body, "", "curated")


async def test_a_release_has_accepted_edits_and_no_retired_entries(
    editor: Editor, store: EmbeddedStore
) -> None:
    await accepted(editor, replace(FRUIT[0], question="how many plums are there"))
    await editor.update(replace(FRUIT[0], question="unseen"), await tag(editor, "a"), ADA)
    await editor.retire("b", await tag(editor, "b"), ADA)
    new = await accepted(editor, entry("e", "which animal barks"))
    await editor.create(entry("f", "a draft"), ADA)
    preview = await editor.preview_release()
    assert preview.base.name == "fruit"
    assert [(diff.entry_id, diff.change) for diff in preview.changes] == [
        ("a", "changed"),
        ("b", "removed"),
        ("e", "added"),
    ]
    assert preview.changes[0].changes[0].new == "how many plums are there"
    assert (preview.entries, preview.problems) == (4, ())
    release = await editor.create_release("next", ADA)
    assert (release.entries, release.parent) == (4, "fruit")
    assert release.provenance == "ada: a better example"
    assert (await store.active_release()).name == "fruit"
    held = [row async for row in store.entries("next")]
    assert [e.id for e, _ in held] == ["a", "c", "d", "e"]
    assert held[0][0].question == "how many plums are there"
    assert held[3][0] == new.entry
    assert (held[0][1] == vector("how many plums are there")).all()
    await store.activate("next", ADA)
    found = await store.search(KnowledgeQuery("plums"), vector("plums"))
    assert found.found[0].entry.id == "a"


async def test_only_what_changed_is_embedded(store: EmbeddedStore) -> None:
    class Counting(HashEmbedder):
        texts: tuple[str, ...] = ()

        def embed(self, texts):
            self.texts += tuple(texts)
            return super().embed(texts)

    embedder = Counting(64)
    editor = Editor(store, embedder)
    await accepted(editor, graph_entry("f1", Fact("Rome", "is_in", "Italy")))
    await editor.retire("b", await tag(editor, "b"), ADA)
    await editor.create_release("next", ADA)
    assert embedder.texts == ("Rome is in Italy",)


async def test_the_same_release_again_changes_nothing_and_no_change_makes_none(
    editor: Editor, store: EmbeddedStore
) -> None:
    with pytest.raises(EditRefusedError, match="release 'fruit' has every accepted edit already"):
        await editor.create_release("next", ADA)
    await accepted(editor, entry("e", "new"))
    release = await editor.create_release("next", BOB)
    assert release.provenance == "bob"
    assert await editor.create_release("next", BOB) == release
    await store.activate("next", BOB)
    assert await editor.create_release("next", BOB) == release
    with pytest.raises(EditRefusedError, match="release 'next' has every accepted edit already"):
        await editor.create_release("another", BOB)
    await accepted(editor, entry("f", "newer"))
    with pytest.raises(ConfigurationError, match="'next' is already loaded with other entries"):
        await editor.create_release("next", BOB, base="fruit")
    assert (await editor.create_release("third", BOB, base="fruit")).entries == 6


async def test_a_release_is_made_from_a_release_that_there_is(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "empty.db")
    editor = Editor(store, EMBEDDER)
    await accepted(editor, entry("e", "new"))
    with pytest.raises(ReleaseNotFoundError, match="no release is active"):
        await editor.create_release("next", ADA)
    with pytest.raises(ReleaseNotFoundError, match="'nope'"):
        await editor.preview_release("nope")
    await store.close()


async def test_edits_of_another_encoder_are_refused(store: EmbeddedStore) -> None:
    editor = Editor(store, HashEmbedder(64, seed=1))
    await accepted(editor, entry("e", "new"))
    with pytest.raises(ConfigurationError, match="'fruit' was embedded by hash-64-0"):
        await editor.create_release("next", ADA)


async def test_a_release_keeps_later_revisions_of_its_base(
    editor: Editor, store: EmbeddedStore
) -> None:
    await accepted(editor, replace(FRUIT[0], task="sums"))
    await editor.retire("b", await tag(editor, "b"), ADA)
    newer = [replace(FRUIT[0], revision=9), replace(FRUIT[1], revision=9)]
    await store.load(release_of("newer", newer), rows(newer))
    assert (await editor.preview_release("newer")).changes == ()
    assert [diff.entry_id for diff in (await editor.preview_release()).changes] == ["a", "b"]


async def test_an_edit_that_was_reverted_makes_no_release(editor: Editor) -> None:
    edit = await accepted(editor, replace(FRUIT[0], task="sums"))
    await editor.revert("a", etag(edit), 1, ADA)
    with pytest.raises(EditRefusedError, match="has every accepted edit already"):
        await editor.create_release("next", ADA)


async def test_rules_that_cannot_be_used_together_make_no_release(
    editor: Editor, store: EmbeddedStore
) -> None:
    await accepted(
        editor, graph_entry("r1", Rule("grandparent(X, Z) :- parent(X, Y), parent(Y, Z)."))
    )
    preview = await editor.preview_release()
    assert {problem.rule_id for problem in preview.problems} == {"r1"}
    with pytest.raises(EditRefusedError, match=r"r1: .*parent"):
        await editor.create_release("next", ADA)
    assert [release.name for release in await store.releases()] == ["fruit"]
    await accepted(editor, graph_entry("f1", Fact("Ada", "parent", "Bob")))
    assert (await editor.create_release("next", ADA)).entries == 6
