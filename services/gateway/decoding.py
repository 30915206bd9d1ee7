"""Turns bytes into request messages without losing which field was wrong.

protobuf refuses a string field that is not UTF-8, but does not say which one, and grpc
turns the failure into INTERNAL. Here the failure becomes INVALID_ARGUMENT with the field.
"""

from __future__ import annotations

from collections.abc import Callable
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
    try:
        raw = _with_bytes(message_class.DESCRIPTOR).FromString(data)
    except DecodeError:
        return InvalidRequestError(
            f"the message of {len(data)} bytes is not a {message_class.DESCRIPTOR.full_name}"
        )
    for field, value in raw.ListFields():
        if field.type == _FIELD.TYPE_BYTES:
            try:
                value.decode()
            except UnicodeDecodeError as error:
                return InvalidRequestError.of_field(
                    field.name,
                    f"not UTF-8: byte 0x{value[error.start]:02x} at position {error.start}",
                )
    return InvalidRequestError(f"not a valid {message_class.DESCRIPTOR.full_name}")


@cache
def _with_bytes(descriptor: Descriptor) -> type[Message]:
    """The same message with every string field read as bytes, so that nothing is refused."""
    proto = descriptor_pb2.DescriptorProto()
    descriptor.CopyToProto(proto)
    file = descriptor_pb2.FileDescriptorProto(name=f"raw/{proto.name}", package="raw")
    for field in proto.field:
        if field.type == _FIELD.TYPE_STRING:
            field.type = _FIELD.TYPE_BYTES
        elif field.type == _FIELD.TYPE_ENUM:
            field.type = _FIELD.TYPE_INT32
            field.ClearField("type_name")
    file.message_type.add().CopyFrom(proto)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"raw.{proto.name}"))
