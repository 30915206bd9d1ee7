"""KnowledgeService at the edge: edits go through, and fail with their exact status."""

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from services.common.status import DETAILS_KEY, read_violations
from services.genproto.nesycd.v1 import knowledge_pb2 as pb

ANA = {"actor": "ana"}
SERVICE = pb.DESCRIPTOR.services_by_name["KnowledgeService"]


async def failure(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def details(error: grpc.aio.AioRpcError) -> bytes:
    return dict(error.trailing_metadata())[DETAILS_KEY]


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert any(one.Unpack(info) for one in status_pb2.Status.FromString(details(error)).details)
    return info


def reason(error: grpc.aio.AioRpcError) -> str:
    return error_info(error).reason


def entry(entry_id: str = "new", **fields) -> pb.Entry:
    note = {"learning_summary": ["Think."]}
    return pb.Entry(
        **({"id": entry_id, "question": "Why?", "provenance": "ana", "note": note} | fields)
    )


async def test_an_edit_goes_all_the_way_into_the_answers(edge):
    draft = (await edge.entries.CreateEntry(pb.CreateEntryRequest(entry=entry(), edit=ANA))).entry
    assert draft.status == "draft"
    await edge.entries.ReviewEntry(
        pb.ReviewEntryRequest(id="new", etag=draft.etag, verdict="accepted", edit=ANA)
    )
    await edge.entries.CreateRelease(pb.CreateReleaseRequest(name="r2", edit=ANA))
    await edge.entries.ActivateRelease(pb.ActivateReleaseRequest(name="r2", edit=ANA))
    reply = await edge.entries.SearchEntries(pb.SearchEntriesRequest(question="Why?", top_k=1))
    assert (reply.release, reply.found[0].entry.id) == ("r2", "new")


async def test_every_rpc_is_served_and_counted(edge):
    rpcs = [rpc.name for rpc in SERVICE.methods]
    for rpc in rpcs:
        try:
            await getattr(edge.entries, rpc)(getattr(pb, f"{rpc}Request")())
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert read_violations(details(error))

    def counted() -> list[str]:
        return [
            sample.labels["method"]
            for family in edge.gateway._metrics.registry.collect()
            for sample in family.samples
            if sample.name == "nesycd_requests_total"
        ]

    async with asyncio.timeout(5):  # a refused call is counted after its status went out
        while set(counted()) != set(rpcs):
            await asyncio.sleep(0.01)
    assert len(counted()) == len(rpcs)


async def test_a_lost_race_is_aborted_with_the_current_etag(edge):
    before = (await edge.entries.GetEntry(pb.GetEntryRequest(id="percent-1"))).entry
    requests = [
        pb.UpdateEntryRequest(
            entry=entry("percent-1", question=f"How {n}?"), etag=before.etag, edit=ANA
        )
        for n in range(5)
    ]
    ended = await asyncio.gather(
        *(edge.entries.UpdateEntry(request) for request in requests), return_exceptions=True
    )
    lost = [one for one in ended if isinstance(one, grpc.aio.AioRpcError)]
    (won,) = [one for one in ended if not isinstance(one, BaseException)]
    assert len(lost) == 4
    for error in lost:
        assert error.code() is grpc.StatusCode.ABORTED
        assert reason(error) == "EditConflictError"
        assert won.entry.etag in error.details()
        assert error_info(error).metadata == {"entry_id": "percent-1", "etag": won.entry.etag}


@pytest.mark.parametrize(
    ("rpc", "request_", "code", "error_name"),
    [
        ("GetEntry", pb.GetEntryRequest(id="no"), "NOT_FOUND", "EntryNotFoundError"),
        (
            "CreateEntry",
            pb.CreateEntryRequest(entry=entry("percent-1"), edit=ANA),
            "ALREADY_EXISTS",
            "EntryExistsError",
        ),
        (
            "ActivateRelease",
            pb.ActivateReleaseRequest(name="no", edit=ANA),
            "NOT_FOUND",
            "ReleaseNotFoundError",
        ),
        (
            "CreateRelease",
            pb.CreateReleaseRequest(name="r2", edit=ANA),
            "FAILED_PRECONDITION",
            "EditRefusedError",
        ),
    ],
)
async def test_a_refused_call_says_why(edge, rpc, request_, code, error_name):
    error = await failure(getattr(edge.entries, rpc)(request_))
    assert error.code().name == code
    assert reason(error) == error_name
    assert "x-request-id" in dict(error.trailing_metadata())


async def test_a_wrong_field_deep_inside_is_named(edge):
    note = {"learning_summary": ["Think.", "\x07"]}
    request = pb.CreateEntryRequest(entry=entry(note=note, task="Big"), edit=ANA)
    error = await failure(edge.entries.CreateEntry(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(read_violations(details(error))) == {
        "entry.task": "must be in snake_case or empty, got 'Big'",
        "entry.note.learning_summary[1]": r"holds the control character '\x07', got '\x07'",
    }


async def test_a_text_that_is_not_utf8_is_named_by_its_path(edge):
    call = edge.channel.unary_unary(
        "/nesycd.v1.KnowledgeService/RetireEntry", request_serializer=lambda sent: sent
    )
    sent = pb.RetireEntryRequest(id="a", edit={"actor": "bad"}).SerializeToString()
    error = await failure(call(sent.replace(b"bad", b"b\xffd")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "edit.actor: not UTF-8: byte 0xff at position 1"


async def test_a_megabyte_in_a_field_is_refused_before_it_is_read(edge):
    request = pb.CreateEntryRequest(entry=entry(question="x" * (1 << 20)), edit=ANA)
    error = await failure(edge.entries.CreateEntry(request))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_store_that_is_gone_is_unavailable(edge):
    await edge.editing.store.close()
    error = await failure(edge.entries.FindEntries(pb.FindEntriesRequest()))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(error) == "KnowledgeUnavailableError"


async def test_an_expired_deadline_ends_the_call(edge, monkeypatch):
    async def never(_):
        await asyncio.sleep(60)

    monkeypatch.setattr(edge.editing.store, "find", never)
    error = await failure(edge.entries.FindEntries(pb.FindEntriesRequest(), timeout=0.2))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_bug_inside_does_not_leak(edge, monkeypatch):
    async def broken(_):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(edge.editing.store, "find", broken)
    error = await failure(edge.entries.FindEntries(pb.FindEntriesRequest()))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()


async def test_many_wrong_fields_still_fit_the_trailers(edge):
    note = {"learning_summary": ["\u4e2d\x07" * 20] * 3000}
    request = pb.CreateEntryRequest(entry=entry(note=note), edit=ANA)
    error = await failure(edge.entries.CreateEntry(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    fields = [field for field, _ in read_violations(details(error))]
    assert fields[0] == "entry.note.learning_summary[0]"
    assert len(fields) > 5


async def test_a_conflict_over_many_entries_still_fits_the_trailers(edge):
    for number in range(60):
        edit = ANA | {"batch": "b1"}
        new = entry(f"{'long' * 30}{number}")
        await edge.entries.CreateEntry(pb.CreateEntryRequest(entry=new, edit=edit))
    found = await edge.entries.FindEntries(pb.FindEntriesRequest(batch="b1", page_size=200))
    for one in found.entries:
        request = pb.RetireEntryRequest(id=one.entry.id, etag=one.etag, edit=ANA)
        await edge.entries.RetireEntry(request)
    error = await failure(edge.entries.RevertBatch(pb.RevertBatchRequest(batch="b1", edit=ANA)))
    assert error.code() is grpc.StatusCode.ABORTED
    assert reason(error) == "EditConflictError"
    assert error.details().startswith("changed since batch 'b1': 'longlong")
