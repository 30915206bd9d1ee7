"""Texts that are not UTF-8 are named, however deep they lie."""

import pytest
from google.protobuf.message import Message

from services.common.errors import InvalidRequestError
from services.gateway.decoding import decoder
from services.gateway.edge import SERVICES
from services.genproto.nesycd.v1 import knowledge_pb2 as pb


def spoilt(message: Message) -> bytes:
    """The message's bytes, with each "bad" made invalid."""
    return message.SerializeToString().replace(b"bad", b"\xffad")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.GetEntryRequest(id="bad"), "id"),
        (pb.FindEntriesRequest(kinds=["note", "bad"]), "kinds[1]"),
        (pb.RetireEntryRequest(edit={"reason": "bad"}), "edit.reason"),
        (pb.CreateEntryRequest(entry={"rule": {"text": "bad"}}), "entry.rule.text"),
        (
            pb.UpdateEntryRequest(entry={"note": {"supplementary_knowledge": ["a", "b", "bad"]}}),
            "entry.note.supplementary_knowledge[2]",
        ),
    ],
)
def test_the_field_is_named_by_its_path(message, field):
    wrong = decoder(type(message))(spoilt(message))
    assert isinstance(wrong, InvalidRequestError)
    assert wrong.message == f"{field}: not UTF-8: byte 0xff at position 0"


@pytest.mark.parametrize(
    "rpc", [rpc for service in SERVICES for rpc in service.methods], ids=lambda rpc: rpc.name
)
def test_what_is_no_message_at_all_is_refused_by_every_rpc(rpc):
    wrong = decoder(rpc.input_type._concrete_class)(b"\x0a\xff")
    assert isinstance(wrong, InvalidRequestError)
    assert wrong.message == f"the message of 2 bytes is not a {rpc.input_type.full_name}"
