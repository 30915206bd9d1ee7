"""Whatever a message holds, an editor's call is answered or refused by name; nothing breaks."""

import asyncio
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import STATUS, NesycdError
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.service.servicer import KnowledgeServicer
from tests.knowledge_services import open_service

RPCS = list(pb.DESCRIPTOR.services_by_name["KnowledgeService"].methods)
HOSTILE = [
    'a AND (b OR "c" NOT *x ~2 ^ : [1 TO 2] C++ ( \\',
    "'; DROP TABLE revisions; -- %_\\",
    "}) DETACH DELETE (n) //",
    "\0\x1b[31m\r\n\t\x7f\x9b",
    "\u202eright to left\u200b\ufeff",
    "e\u0301 \U0001f642 \ufb01",
    "x" * 10_000,
    "p(X) :- p(X), not p(X).",
    "p(X, Y, Z, A, B).",
    'q("\\") :- ',
]
KNOWN = ["percent-1", "in", "capital", "r1", "note", "draft", "accepted", "percent", "right"]
TEXTS = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)


def _value(field: FieldDescriptor) -> st.SearchStrategy[object]:
    if field.message_type is not None:
        return messages(GetMessageClass(field.message_type))
    return {
        FieldDescriptor.TYPE_STRING: TEXTS,
        FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1) | st.integers(0, 3),
        FieldDescriptor.TYPE_DOUBLE: st.floats(),
    }[field.type]


@st.composite
def messages(draw: st.DrawFn, message_class: type[Message]) -> Message:
    """A message with any of its fields, the known ids of the sample among the values."""
    values = {}
    for field in message_class.DESCRIPTOR.fields:
        if draw(st.booleans()):
            value = _value(field)
            values[field.name] = draw(st.lists(value, max_size=3) if field.is_repeated else value)
    return message_class(**values)


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    loop = asyncio.new_event_loop()
    service = loop.run_until_complete(open_service(tmp_path_factory.mktemp("knowledge")))
    yield loop, service.servicer
    loop.run_until_complete(service.store.close())
    loop.close()


async def _current_etag(servicer: KnowledgeServicer, message: Message) -> None:
    """Half of the edits would otherwise never get past their etag."""
    try:
        reply = await servicer.GetEntry(pb.GetEntryRequest(id=message.id))
        message.etag = reply.entry.etag
    except (AttributeError, NesycdError):
        pass


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_message_is_answered_or_refused_by_name(answering, rpc, data):
    loop, servicer = answering
    message = data.draw(messages(GetMessageClass(rpc.input_type)))

    async def call() -> Message:
        await _current_etag(servicer, message)
        return await servicer.call(rpc.name, message)

    try:
        reply = loop.run_until_complete(call())
    except NesycdError as error:
        assert type(error) in set(STATUS) - {NesycdError}
        assert error.message
    else:
        assert reply.DESCRIPTOR is rpc.output_type
        reply.SerializeToString()
