"""The life cycle over a real store; the stores' own part is in tests/contract."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.common.errors import (
    EditConflictError,
    EditRefusedError,
    EntryExistsError,
    EntryNotFoundError,
    InvalidRequestError,
)
from services.common.records import Action, Authorship, EntryStatus, Note, Revision
from services.knowledge.checksums import etag
from services.knowledge.diff import FieldChange
from services.knowledge.editing import Editor
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.protocol import EntryFilter
from tests.contract.knowledge_store import FRUIT, entry, release_of, rows
from tests.unit.knowledge.edits import ADA, BOB, accepted, tag

DRAFT, ACCEPTED, REJECTED, RETIRED = EntryStatus


async def test_a_created_entry_is_the_first_draft_of_its_author(editor: Editor) -> None:
    made = await editor.create(entry("e", "new", revision=7), ADA)
    assert made == Revision(entry("e", "new"), DRAFT, Action.CREATED, ADA, 1000.0)
    assert await editor.get("e") == made
    with pytest.raises(EntryExistsError, match="'e'"):
        await editor.create(entry("e", "new"), ADA)
    with pytest.raises(EntryExistsError, match="'a'"):
        await editor.create(FRUIT[0], ADA)


async def test_an_update_is_a_draft_with_the_next_number(
    editor: Editor, store: EmbeddedStore
) -> None:
    # A release that is not active has a higher number already.
    newer = [replace(FRUIT[0], revision=6)]
    await store.load(release_of("newer", newer), rows(newer))
    changed = replace(FRUIT[0], question="how many plums", revision=1)
    draft = await editor.update(changed, await tag(editor, "a"), ADA)
    assert draft == Revision(replace(changed, revision=7), DRAFT, Action.UPDATED, ADA, 1000.0)
    assert [step.entry.revision for step in await editor.history("a")] == [1, 6, 7]


async def test_an_update_that_changes_nothing_is_refused_but_revives_what_was_rejected(
    editor: Editor,
) -> None:
    with pytest.raises(EditRefusedError, match="nothing would change in entry 'a'"):
        await editor.update(replace(FRUIT[0], revision=9), await tag(editor, "a"), ADA)
    draft = await editor.create(entry("e", "new"), ADA)
    rejected = await editor.review("e", etag(draft), REJECTED, BOB)
    again = await editor.update(draft.entry, etag(rejected), ADA)
    assert (again.status, again.entry.revision) == (DRAFT, 3)


@pytest.mark.parametrize("verdict", [ACCEPTED, REJECTED])
async def test_a_draft_is_reviewed_once(editor: Editor, verdict: EntryStatus) -> None:
    draft = await editor.create(entry("e", "new"), ADA)
    reviewed = await editor.review("e", etag(draft), verdict, BOB)
    assert (reviewed.status, reviewed.action, reviewed.author) == (verdict, Action.REVIEWED, BOB)
    assert replace(reviewed.entry, revision=1) == draft.entry
    with pytest.raises(EditRefusedError, match=f"entry 'e' is {verdict.value}, not a draft"):
        await editor.review("e", etag(reviewed), ACCEPTED, BOB)


async def test_a_review_has_one_of_two_verdicts(editor: Editor) -> None:
    draft = await editor.create(entry("e", "new"), ADA)
    with pytest.raises(InvalidRequestError, match="verdict"):
        await editor.review("e", etag(draft), RETIRED, BOB)


async def test_an_entry_is_retired_once_and_may_come_back_as_a_draft(editor: Editor) -> None:
    retired = await editor.retire("a", await tag(editor, "a"), ADA)
    assert (retired.status, retired.action) == (RETIRED, Action.RETIRED)
    with pytest.raises(EditRefusedError, match="retired already"):
        await editor.retire("a", etag(retired), ADA)
    assert (await editor.update(FRUIT[0], etag(retired), ADA)).status is DRAFT


async def test_every_change_needs_the_etag_of_the_newest_revision(editor: Editor) -> None:
    old = await tag(editor, "a")
    draft = await editor.update(replace(FRUIT[0], task="sums"), old, ADA)
    for change in (
        editor.update(FRUIT[0], old, BOB),
        editor.review("a", old, ACCEPTED, BOB),
        editor.retire("a", old, BOB),
        editor.revert("a", old, 1, BOB),
        editor.merge("a", old, "b", BOB),
    ):
        with pytest.raises(EditConflictError) as caught:
            await change
        assert etag(draft) in caught.value.message
        assert caught.value.metadata == {"entry_id": "a", "etag": etag(draft)}
    for change in (editor.update(entry("nope", "x"), old, BOB), editor.retire("nope", old, BOB)):
        with pytest.raises(EntryNotFoundError, match="'nope'"):
            await change
    assert await editor.get("a") == draft


async def test_of_racing_editors_exactly_one_wins(editor: Editor) -> None:
    read = await tag(editor, "a")
    updates = (editor.update(replace(FRUIT[0], task=f"t{n}"), read, ADA) for n in range(20))
    results = await asyncio.gather(*updates, return_exceptions=True)
    winners = [result for result in results if isinstance(result, Revision)]
    losers = [result for result in results if not isinstance(result, Revision)]
    assert [await editor.get("a")] == winners
    assert [type(loser) for loser in losers] == [EditConflictError] * 19
    assert all(etag(winners[0]) in loser.message for loser in losers)
    assert all(loser.metadata["etag"] == etag(winners[0]) for loser in losers)


@pytest.mark.parametrize("actor", ["", " \t"])
async def test_every_change_has_an_author(editor: Editor, actor: str) -> None:
    nobody, read = Authorship(actor), await tag(editor, "a")
    draft = await editor.create(entry("e", "x"), Authorship("ada", "", "b1"))
    for change in (
        editor.create(entry("f", "x"), nobody),
        editor.update(replace(FRUIT[0], task="x"), read, nobody),
        editor.review("e", etag(draft), ACCEPTED, nobody),
        editor.retire("a", read, nobody),
        editor.merge("a", read, "b", nobody),
        editor.revert_batch("b1", nobody),
        editor.create_release("r", nobody),
    ):
        with pytest.raises(InvalidRequestError, match=r"^actor: is empty"):
            await change


async def test_refuses_text_that_cannot_be_written_by_its_field(editor: Editor) -> None:
    for made, author, field in (
        (entry("e", "half \ud83d"), ADA, "question"),
        (entry("e", "x", body=("a", "\udc00")), ADA, "learning_summary"),
        (entry("\ud83d", "x"), ADA, "id"),
        (entry("e", "x"), Authorship("ada", "\ud83d"), "reason"),
    ):
        with pytest.raises(InvalidRequestError, match=f"^{field}: holds half of a surrogate"):
            await editor.create(made, author)


async def test_reverts_content_and_status_as_a_new_revision(editor: Editor) -> None:
    await accepted(editor, replace(FRUIT[0], question="how many plums"))
    retired = await editor.retire("a", await tag(editor, "a"), ADA)
    back = await editor.revert("a", etag(retired), 3, BOB)
    assert (back.status, back.action, back.author) == (ACCEPTED, Action.REVERTED, BOB)
    assert (back.entry.question, back.entry.revision) == ("how many plums", 5)
    first = await editor.revert("a", etag(back), 1, BOB)
    assert first.entry == replace(FRUIT[0], revision=6)
    with pytest.raises(EditRefusedError, match="is what it was in revision 1"):
        await editor.revert("a", etag(first), 1, BOB)
    with pytest.raises(EntryNotFoundError, match="entry 'a' has no revision 99"):
        await editor.revert("a", etag(first), 99, BOB)
    assert len(await editor.history("a")) == 6


async def test_reverts_a_whole_batch(editor: Editor) -> None:
    batch = Authorship("ada", "import", "b1")
    before = await accepted(editor, replace(FRUIT[0], task="sums"))
    await accepted(editor, replace(FRUIT[0], question="how many plums"), batch)
    await accepted(editor, replace(FRUIT[1], question="how many kiwis"), batch)
    await accepted(editor, entry("e", "new"), batch)
    draft = await editor.update(replace(FRUIT[2], task="x"), await tag(editor, "c"), batch)
    merged = await editor.merge("d", await tag(editor, "d"), "c", batch)
    back = await editor.revert_batch("b1", BOB)
    assert [step.entry.id for step in back] == ["a", "b", "c", "d", "e"]
    assert {step.action for step in back} == {Action.REVERTED}
    assert back[0].entry == replace(before.entry, revision=6)
    assert replace(back[1].entry, revision=1) == FRUIT[1]
    assert back[2].entry == replace(FRUIT[2], revision=draft.entry.revision + 1)
    assert back[3].redirect_to == ""
    assert merged.redirect_to == "c"
    assert [step.status for step in back] == [ACCEPTED] * 4 + [RETIRED]
    for step in back:
        assert await editor.get(step.entry.id) == step
    assert (await editor.preview_release()).entries == 4


async def test_a_batch_is_reverted_as_a_whole_or_not_at_all(editor: Editor) -> None:
    batch = Authorship("ada", "", "b1")
    for made in (FRUIT[0], FRUIT[1]):
        await editor.update(replace(made, task="x"), await tag(editor, made.id), batch)
    since = await editor.update(replace(FRUIT[1], task="y"), await tag(editor, "b"), BOB)
    with pytest.raises(EditConflictError) as caught:
        await editor.revert_batch("b1", BOB)
    assert caught.value.message == f"changed since batch 'b1': 'b' (etag {etag(since)})."
    assert (await editor.get("a")).entry.task == "x"


async def test_refuses_to_revert_no_batch_or_within_itself(editor: Editor) -> None:
    for name in ("nope", " "):
        with pytest.raises(EntryNotFoundError, match="there is no batch"):
            await editor.revert_batch(name, BOB)
    with pytest.raises(InvalidRequestError, match=r"^batch: "):
        await editor.revert_batch("b1", Authorship("bob", "", "b1"))


async def test_merges_into_another_and_redirects(editor: Editor) -> None:
    merged = await editor.merge("b", await tag(editor, "b"), "a", ADA)
    assert (merged.status, merged.action, merged.redirect_to) == (RETIRED, Action.MERGED, "a")
    with pytest.raises(EditRefusedError, match="'b' was merged into 'a'"):
        await editor.update(FRUIT[1], etag(merged), ADA)
    back = await editor.revert("b", etag(merged), 1, ADA)
    assert (back.status, back.redirect_to) == (ACCEPTED, "")


async def test_refuses_merges_that_lead_nowhere_or_in_chains(editor: Editor) -> None:
    read = await tag(editor, "a")
    await editor.merge("b", await tag(editor, "b"), "a", ADA)
    for into, message in (
        ("a", "cannot be merged into itself"),
        ("b", "entry 'b' is retired"),
        ("c", "entry 'b' was merged into 'a'"),
    ):
        with pytest.raises(EditRefusedError, match=message):
            await editor.merge("a", read, into, ADA)
    with pytest.raises(EntryNotFoundError, match="'nope'"):
        await editor.merge("a", read, "nope", ADA)
    with pytest.raises(EditRefusedError, match="entry 'b' is retired already"):
        await editor.merge("b", await tag(editor, "b"), "c", ADA)


async def test_tells_what_two_revisions_do_not_have_alike(editor: Editor) -> None:
    await editor.update(replace(FRUIT[0], task="sums"), await tag(editor, "a"), ADA)
    assert await editor.diff("a", 1, 2) == (FieldChange("task", "counting", "sums"),)
    assert await editor.diff("a", 2, 2) == ()
    with pytest.raises(EntryNotFoundError, match="no revision 3"):
        await editor.diff("a", 1, 3)


async def test_a_long_list_of_retired_entries_is_looked_through(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.knowledge.editing._PAGE", 2)
    for n in range(5):
        await editor.create(entry(f"e{n}", "x"), ADA)
        await editor.merge(f"e{n}", await tag(editor, f"e{n}"), "a" if n == 4 else "b", ADA)
    with pytest.raises(EditRefusedError, match="'e4' was merged into 'a'"):
        await editor.merge("a", await tag(editor, "a"), "c", ADA)


async def test_edits_survive_a_restart(editor: Editor, store: EmbeddedStore) -> None:
    made = await accepted(editor, entry("e", "new", body=("one", "two")))
    assert isinstance(made.entry.body, Note)
    again = EmbeddedStore(store._file.path)
    assert await again.newest("e") == made
    assert (await again.find(EntryFilter(text="two"))).total == 1
    await again.close()
