"""What editors can do over the service's messages, on a real store."""

import pytest

from services.common.errors import (
    ConfigurationError,
    EditConflictError,
    EditRefusedError,
    EntryExistsError,
    EntryNotFoundError,
    InvalidRequestError,
    ReleaseNotFoundError,
)
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.fake import HashEmbedder
from services.knowledge.service import servicer as servicer_module
from services.knowledge.service import wire
from services.knowledge.service.servicer import KnowledgeServicer
from tests.knowledge_services import ENTRIES, open_service

ANA = {"actor": "ana", "reason": "seen in class"}


@pytest.fixture
async def opened(tmp_path):
    opened = await open_service(tmp_path)
    yield opened
    await opened.store.close()


@pytest.fixture
def knowledge(opened) -> KnowledgeServicer:
    return opened.servicer


async def got(knowledge, entry_id: str) -> pb.EntryRevision:
    return (await knowledge.GetEntry(pb.GetEntryRequest(id=entry_id))).entry


async def created(knowledge, entry_id: str = "new", **edit) -> pb.EntryRevision:
    entry = pb.Entry(
        id=entry_id,
        question="What is 5 percent of 20?",
        note={"learning_summary": ["Halve a tenth."]},
        provenance="ana",
    )
    request = pb.CreateEntryRequest(entry=entry, edit=ANA | edit)
    return (await knowledge.CreateEntry(request)).entry


async def reviewed(knowledge, entry: pb.EntryRevision, verdict="accepted") -> pb.EntryRevision:
    request = pb.ReviewEntryRequest(id=entry.entry.id, etag=entry.etag, verdict=verdict, edit=ANA)
    return (await knowledge.ReviewEntry(request)).entry


async def updated(knowledge, entry: pb.EntryRevision, question: str) -> pb.EntryRevision:
    content = pb.Entry()
    content.CopyFrom(entry.entry)
    content.question = question
    request = pb.UpdateEntryRequest(entry=content, etag=entry.etag, edit=ANA)
    return (await knowledge.UpdateEntry(request)).entry


async def found(knowledge, **fields) -> list[str]:
    reply = await knowledge.FindEntries(pb.FindEntriesRequest(**fields))
    return [one.entry.id for one in reply.entries]


async def test_entries_are_listed_with_status_etag_author_and_facets(knowledge):
    reply = await knowledge.FindEntries(pb.FindEntriesRequest())
    assert [one.entry.id for one in reply.entries] == [entry.id for entry in ENTRIES]
    assert reply.total == 5
    first = reply.entries[0]
    assert (first.status, first.action, first.entry.revision) == ("accepted", "loaded", 1)
    assert first.etag.startswith("1-")
    assert (first.edit.actor, first.edit.reason) == ("curated", "r1")
    assert first.HasField("uses")
    facets = [(one.field, one.value, one.entries) for one in reply.facets]
    assert ("kind", "note", 3) in facets
    assert ("task", "percent", 2) in facets
    assert ("status", "accepted", 5) in facets
    assert reply.next_page_token == ""


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({"text": "PERCENT 60"}, ["percent-2"]),
        ({"kinds": ["rule", "fact"]}, ["capital", "in"]),
        ({"task": "tides"}, ["tides-1"]),
        ({"statuses": ["draft"]}, []),
        ({"text": "nothing like it"}, []),
    ],
)
async def test_entries_are_found_by_what_is_asked_for(knowledge, fields, ids):
    assert await found(knowledge, **fields) == ids


async def test_pages_follow_one_another(knowledge):
    ids, token = [], ""
    for _ in range(3):
        reply = await knowledge.FindEntries(pb.FindEntriesRequest(page_size=2, page_token=token))
        ids += [one.entry.id for one in reply.entries]
        assert reply.total == 5
        token = reply.next_page_token
    assert ids == [entry.id for entry in ENTRIES]
    assert token == ""


async def test_a_page_of_long_entries_ends_earlier_and_goes_on(knowledge, monkeypatch):
    monkeypatch.setattr(wire, "PAGE_BYTES", 400)
    ids, token, pages = [], "", 0
    while True:
        reply = await knowledge.FindEntries(pb.FindEntriesRequest(page_token=token))
        assert reply.entries
        ids += [one.entry.id for one in reply.entries]
        token, pages = reply.next_page_token, pages + 1
        if not token:
            break
    assert ids == [entry.id for entry in ENTRIES]
    assert pages > 1


async def test_search_shows_scores_and_ranks_and_counts_no_use(knowledge):
    request = pb.SearchEntriesRequest(question="What is 10 percent of 50?", top_k=2)
    reply = await knowledge.SearchEntries(request)
    assert reply.release == "r1"
    best = reply.found[0]
    assert best.entry.id == "percent-1"
    assert best.score > reply.found[1].score > 0
    assert best.leg_ranks["vector"] == 1
    assert (await got(knowledge, "percent-1")).uses.retrieved == 0


async def test_search_adds_what_the_graph_reaches(knowledge):
    request = pb.SearchEntriesRequest(question="Is Paris big?", kinds=["note"], max_related=3)
    reply = await knowledge.SearchEntries(request)
    related = {one.entry.id: one for one in reply.found if one.score == 0}
    assert "capital" in related
    assert related["capital"].leg_ranks["graph"] >= 1


async def test_an_entry_goes_from_draft_to_accepted_with_its_history(knowledge):
    draft = await created(knowledge)
    assert (draft.status, draft.action, draft.entry.revision) == ("draft", "created", 1)
    assert (draft.edit.actor, draft.edit.reason) == ("ana", "seen in class")
    accepted = await reviewed(knowledge, draft)
    assert accepted.status == "accepted"
    changed = await updated(knowledge, accepted, "What is 5 percent of 40?")
    assert (changed.status, changed.entry.revision) == ("draft", 3)
    reply = await knowledge.GetEntryHistory(pb.GetEntryHistoryRequest(id="new"))
    assert [step.revision.action for step in reply.steps] == ["created", "reviewed", "updated"]
    assert {one.field for one in reply.steps[0].changes} >= {"kind", "question", "provenance"}
    assert list(reply.steps[1].changes) == []
    assert list(reply.steps[2].changes) == [
        pb.FieldChange(
            field="question", old="What is 5 percent of 20?", new="What is 5 percent of 40?"
        )
    ]
    assert not reply.steps[0].revision.HasField("uses")


async def test_an_earlier_revision_can_be_read(knowledge):
    await updated(knowledge, await created(knowledge), "Other?")
    reply = await knowledge.GetEntry(pb.GetEntryRequest(id="new", revision=1))
    assert reply.entry.entry.question == "What is 5 percent of 20?"
    with pytest.raises(EntryNotFoundError, match="'new' has no revision 9"):
        await knowledge.GetEntry(pb.GetEntryRequest(id="new", revision=9))


async def test_an_edit_of_what_was_changed_meanwhile_names_the_current_etag(knowledge):
    before = await got(knowledge, "percent-1")
    now = await updated(knowledge, before, "Other?")
    with pytest.raises(EditConflictError) as caught:
        await updated(knowledge, before, "Another?")
    assert now.etag in caught.value.message


async def test_an_id_is_given_once(knowledge):
    await created(knowledge)
    with pytest.raises(EntryExistsError):
        await created(knowledge)


async def test_what_is_no_draft_is_not_reviewed(knowledge):
    with pytest.raises(EditRefusedError):
        await reviewed(knowledge, await got(knowledge, "percent-1"))


async def test_a_retired_entry_leaves_the_next_release_and_can_be_brought_back(knowledge):
    entry = await got(knowledge, "tides-1")
    request = pb.RetireEntryRequest(id="tides-1", etag=entry.etag, edit=ANA)
    retired = (await knowledge.RetireEntry(request)).entry
    assert retired.status == "retired"
    preview = await knowledge.PreviewRelease(pb.PreviewReleaseRequest())
    assert [(one.id, one.change) for one in preview.changes] == [("tides-1", "removed")]
    assert (preview.base, preview.entries, preview.total) == ("r1", 4, 1)
    request = pb.RevertEntryRequest(id="tides-1", etag=retired.etag, revision=1, edit=ANA)
    back = (await knowledge.RevertEntry(request)).entry
    assert (back.status, back.action) == ("accepted", "reverted")
    assert back.entry.question == "When is the tide high?"


async def test_a_batch_is_undone_as_a_whole(knowledge):
    await created(knowledge, "new-1", batch="b1")
    await created(knowledge, "new-2", batch="b1")
    assert await found(knowledge, batch="b1") == ["new-1", "new-2"]
    reply = await knowledge.RevertBatch(pb.RevertBatchRequest(batch="b1", edit=ANA))
    assert [(one.entry.id, one.status) for one in reply.entries] == [
        ("new-1", "retired"),
        ("new-2", "retired"),
    ]
    with pytest.raises(EntryNotFoundError, match="'b2'"):
        await knowledge.RevertBatch(pb.RevertBatchRequest(batch="b2", edit=ANA))


async def test_a_merged_entry_redirects(knowledge):
    entry = await got(knowledge, "percent-2")
    request = pb.MergeEntriesRequest(id="percent-2", etag=entry.etag, into="percent-1", edit=ANA)
    merged = (await knowledge.MergeEntries(request)).entry
    assert (merged.status, merged.action, merged.redirect_to) == ("retired", "merged", "percent-1")


async def test_near_duplicates_are_paired_within_what_is_asked_for(knowledge):
    request = pb.FindDuplicateEntriesRequest(min_similarity=0.1, kinds=["note"])
    reply = await knowledge.FindDuplicateEntries(request)
    first = reply.pairs[0]
    assert (reply.release, first.id, first.other_id) == ("r1", "percent-1", "percent-2")
    assert first.similarity >= reply.pairs[-1].similarity >= 0.1
    assert first.text == "What is 10 percent of 50?"
    request = pb.FindDuplicateEntriesRequest(min_similarity=0.1, task="tides")
    assert not (await knowledge.FindDuplicateEntries(request)).pairs
    request = pb.FindDuplicateEntriesRequest(min_similarity=0.1, task="none")
    assert not (await knowledge.FindDuplicateEntries(request)).pairs


async def test_more_entries_than_can_be_compared_are_refused(knowledge, monkeypatch):
    monkeypatch.setattr(servicer_module, "MOST_COMPARED", 4)
    with pytest.raises(InvalidRequestError, match="task: more than 4 entries"):
        await knowledge.FindDuplicateEntries(pb.FindDuplicateEntriesRequest())


async def test_outcomes_are_counted(knowledge):
    for outcome in ("right", "right", "wrong"):
        request = pb.RecordOutcomeRequest(entry_ids=["percent-1"], outcome=outcome)
        await knowledge.RecordOutcome(request)
    uses = (await got(knowledge, "percent-1")).uses
    assert (uses.retrieved, uses.right, uses.wrong) == (0, 2, 1)
    with pytest.raises(InvalidRequestError, match="outcome: 'maybe' is not one of right, wrong"):
        await knowledge.RecordOutcome(
            pb.RecordOutcomeRequest(entry_ids=["percent-1"], outcome="maybe")
        )


async def test_a_release_of_accepted_edits_is_made_activated_and_rolled_back(knowledge):
    await reviewed(knowledge, await created(knowledge))
    await created(knowledge, "unreviewed")
    reply = await knowledge.CreateRelease(pb.CreateReleaseRequest(name="r2", edit=ANA))
    assert (reply.release.name, reply.release.parent) == ("r2", "r1")
    assert (reply.release.entries, reply.release.active) == (6, False)
    search = pb.SearchEntriesRequest(question="What is 5 percent of 20?", top_k=1)
    assert (await knowledge.SearchEntries(search)).found[0].entry.id != "new"
    activated = await knowledge.ActivateRelease(pb.ActivateReleaseRequest(name="r2", edit=ANA))
    assert activated.release.active
    assert (await knowledge.SearchEntries(search)).found[0].entry.id == "new"
    listed = (await knowledge.ListReleases(pb.ListReleasesRequest())).releases
    assert [(one.name, one.active) for one in listed] == [("r1", False), ("r2", True)]
    rolled = await knowledge.RollBackRelease(pb.RollBackReleaseRequest(edit=ANA))
    assert rolled.release.name == "r1"
    with pytest.raises(ReleaseNotFoundError):
        await knowledge.RollBackRelease(pb.RollBackReleaseRequest(edit=ANA))


async def test_a_release_that_cannot_be_made_is_refused_with_the_reason(knowledge):
    with pytest.raises(EditRefusedError, match="every accepted edit already"):
        await knowledge.CreateRelease(pb.CreateReleaseRequest(name="r2", edit=ANA))
    with pytest.raises(ReleaseNotFoundError, match="'r9'"):
        await knowledge.CreateRelease(pb.CreateReleaseRequest(name="r2", base="r9", edit=ANA))
    with pytest.raises(ReleaseNotFoundError, match="'r9'"):
        await knowledge.ActivateRelease(pb.ActivateReleaseRequest(name="r9", edit=ANA))
    await reviewed(knowledge, await created(knowledge))
    with pytest.raises(ConfigurationError):
        await knowledge.CreateRelease(pb.CreateReleaseRequest(name="r1", edit=ANA))


async def test_a_preview_lists_as_many_changes_as_asked_for(knowledge):
    for entry_id in ("new-1", "new-2", "new-3"):
        await reviewed(knowledge, await created(knowledge, entry_id))
    preview = await knowledge.PreviewRelease(pb.PreviewReleaseRequest(limit=2))
    assert [one.id for one in preview.changes] == ["new-1", "new-2"]
    assert (preview.total, preview.entries) == (3, 8)
    assert "question" in {one.field for one in preview.changes[0].fields}


async def test_search_with_another_encoder_than_the_releases_is_refused(opened):
    other = KnowledgeServicer(opened.servicer._editor, opened.store, HashEmbedder(seed=1))
    from services.common.errors import KnowledgeUnavailableError

    with pytest.raises(KnowledgeUnavailableError, match="hash-64-0, questions by hash-64-1"):
        await other.SearchEntries(pb.SearchEntriesRequest(question="q"))


REQUESTS = {
    "FindEntries": pb.FindEntriesRequest(page_size=0),
    "SearchEntries": pb.SearchEntriesRequest(question=" "),
    "GetEntry": pb.GetEntryRequest(),
    "GetEntryHistory": pb.GetEntryHistoryRequest(id="x" * 129),
    "FindDuplicateEntries": pb.FindDuplicateEntriesRequest(limit=1001),
    "CreateEntry": pb.CreateEntryRequest(),
    "UpdateEntry": pb.UpdateEntryRequest(),
    "ReviewEntry": pb.ReviewEntryRequest(id="a", etag="1-a", verdict="draft", edit=ANA),
    "RetireEntry": pb.RetireEntryRequest(id="a", edit=ANA),
    "RevertEntry": pb.RevertEntryRequest(id="a", etag="1-a", edit=ANA),
    "RevertBatch": pb.RevertBatchRequest(edit=ANA),
    "MergeEntries": pb.MergeEntriesRequest(id="a", etag="1-a", edit=ANA),
    "RecordOutcome": pb.RecordOutcomeRequest(),
    "PreviewRelease": pb.PreviewReleaseRequest(base="\x00"),
    "CreateRelease": pb.CreateReleaseRequest(name=" ", edit=ANA),
    "ActivateRelease": pb.ActivateReleaseRequest(name="r1"),
    "RollBackRelease": pb.RollBackReleaseRequest(),
}


@pytest.mark.parametrize("rpc", REQUESTS)
async def test_a_bad_request_is_refused_with_its_fields(knowledge, rpc):
    with pytest.raises(InvalidRequestError) as caught:
        await knowledge.call(rpc, REQUESTS[rpc])
    assert caught.value.violations


def test_every_rpc_is_answered():
    rpcs = {rpc.name for rpc in pb.DESCRIPTOR.services_by_name["KnowledgeService"].methods}
    assert {rpc for rpc in rpcs if not hasattr(KnowledgeServicer, rpc)} == set()
    assert rpcs - set(REQUESTS) == {"ListReleases"}
