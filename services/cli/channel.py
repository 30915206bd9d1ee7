"""The channel from the command line to the gateway: plain, or TLS with or without a certificate."""

from __future__ import annotations

from pathlib import Path

import grpc

from services.cli.options import Server
from services.common.errors import InvalidRequestError


def uses_tls(server: Server) -> bool:
    """Whether the options ask for TLS: the flag, or any file that only TLS needs."""
    return server.tls or any((server.tls_ca, server.tls_certificate, server.tls_key))


def open_channel(server: Server) -> grpc.Channel:
    """A channel to the gateway; no connection is made yet.

    Raises: InvalidRequestError naming the option that is wrong.
    """
    if not server.address.rpartition(":")[2].isdecimal():
        raise InvalidRequestError.of_field("--address", f"{server.address!r} is not HOST:PORT")
    # A long history may be more than the 4 MiB that clients take unless told otherwise.
    options = (("grpc.max_receive_message_length", -1),)
    if not uses_tls(server):
        return grpc.insecure_channel(server.address, options)
    if (server.tls_certificate is None) != (server.tls_key is None):
        missing = "--tls-key" if server.tls_key is None else "--tls-certificate"
        raise InvalidRequestError.of_field(missing, "is needed beside the other of the two")
    credentials = grpc.ssl_channel_credentials(
        _read(server.tls_ca, "--tls-ca"),
        _read(server.tls_key, "--tls-key"),
        _read(server.tls_certificate, "--tls-certificate"),
    )
    return grpc.secure_channel(server.address, credentials, options)


def _read(path: Path | None, option: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise InvalidRequestError.of_field(
            option, f"cannot read {path}: {error.strerror}"
        ) from None
