"""Turns bytes into request messages without losing which field was wrong.

protobuf refuses a string field that is not UTF-8, but does not say which one, and grpc
turns the failure into INTERNAL. Here the failure becomes INVALID_ARGUMENT with the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from services.common.errors import InvalidRequestError

M = TypeVar("M", bound=Message)

_FIELD = descriptor_pb2.FieldDescriptorProto


def decoder(message_class: type[M]) -> Callable[[bytes], M | InvalidRequestError]:
    """A gRPC request deserializer that returns, instead of raising, what was wrong."""

    def decode(data: bytes) -> M | InvalidRequestError:
        try:
            return message_class.FromString(data)
        except DecodeError:
            return _diagnose(message_class, data)

    return decode


def _diagnose(message_class: type[Message], data: bytes) -> InvalidRequestError:
    name = message_class.DESCRIPTOR.full_name
    try:
        raw = _with_bytes(message_class.DESCRIPTOR).FromString(data)
    except DecodeError:
        return InvalidRequestError(f"the message of {len(data)} bytes is not a {name}")
    for field, value in _byte_fields(raw):
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return InvalidRequestError.of_field(
                field, f"not UTF-8: byte 0x{value[error.start]:02x} at position {error.start}"
            )
    return InvalidRequestError(f"not a valid {name}")


def _byte_fields(message: Message, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Every filled bytes field, with its path, such as "entry.note.learning_summary[1]"."""
    for field, value in message.ListFields():
        if field.type not in {_FIELD.TYPE_BYTES, _FIELD.TYPE_MESSAGE}:
            continue
        repeated = field.is_repeated
        for place, one in enumerate(value if repeated else [value]):
            inner = f"{path}{field.name}[{place}]" if repeated else f"{path}{field.name}"
            if field.type == _FIELD.TYPE_BYTES:
                yield inner, one
            else:
                yield from _byte_fields(one, f"{inner}.")


@cache
def _with_bytes(descriptor: Descriptor) -> type[Message]:
    """The same message with every string field read as bytes, so that nothing is refused."""
    file = descriptor_pb2.FileDescriptorProto()
    descriptor.file.CopyToProto(file)
    for message in file.message_type:
        for field in message.field:
            if field.type == _FIELD.TYPE_STRING:
                field.type = _FIELD.TYPE_BYTES
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))
