"""TLS at the edge: the certificate, its key and the clients' authority, renewed without a restart.

Kubernetes renews a mounted Secret by changing its files. They are read again at each
handshake, which costs little beside the handshake itself; a renewal that does not fit
together is logged and left until it does, and the certificate served before stays.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.common.errors import ConfigurationError
from services.common.settings import GatewaySettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What is served: PEM bytes, and when the first certificate of the chain ends.

    Attributes:
        chain: certificates, the server's own first.
        key: of the first certificate.
        client_ca: authorities of the clients' certificates; None asks clients for none.
        expires_s: notAfter of the first certificate, Unix time in seconds.
    """

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    expires_s: float

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """The same for grpc."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_ca)


class Certificate:
    """The certificate that the settings name, as it is on disk now.

    Safe to use from threads: grpc calls from its own.

    Raises:
        ConfigurationError: a file cannot be read, is no PEM, or the key is another one's.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._now = self._served = read_key_pair(settings)
        self._complaint = ""

    @property
    def expires_s(self) -> float:
        """When the certificate that the next connection gets ends: Unix time in seconds."""
        self.renew()
        return self._now.expires_s

    def credentials(self) -> grpc.ServerCredentials:
        """For the server; each handshake gets the newest certificate."""
        return grpc.dynamic_ssl_server_credentials(
            self._served.configuration(),
            self._changed,  # type: ignore[arg-type]  # grpc documents None
            require_client_authentication=self._served.client_ca is not None,
        )

    def renew(self) -> KeyPair:
        """Reads the files again, and keeps what was read before if they are wrong now."""
        with self._lock:
            try:
                found = read_key_pair(self._settings)
            except ConfigurationError as error:
                if error.message != self._complaint:
                    log.warning("certificate_not_renewed", error=error.message)
                self._complaint = error.message
                return self._now
            self._complaint = ""
            if found != self._now:
                self._now = found
                log.info("certificate_renewed", expires_s=found.expires_s)
            return self._now

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What the connection that is being made gets; None for the same as the one before."""
        newest = self.renew()
        if newest == self._served:
            return None
        self._served = newest
        return newest.configuration()


def open_certificate(settings: GatewaySettings) -> Certificate | None:
    """The certificate to serve; None when the settings ask for plain gRPC.

    Raises: ConfigurationError as `Certificate` does.
    """
    return Certificate(settings) if settings.tls_certificate else None


def read_key_pair(settings: GatewaySettings) -> KeyPair:
    """Reads and checks the files. Raises ConfigurationError that names the setting and the file."""
    chain = _read(settings.tls_certificate, "tls_certificate")
    key = _read(settings.tls_key, "tls_key")
    first = _certificates(chain, settings.tls_certificate, "tls_certificate")[0]
    if _public_key(key, settings.tls_key) != first.public_key():
        raise ConfigurationError(
            f"gateway.tls_key: {settings.tls_key} is not the key of the first certificate in "
            f"{settings.tls_certificate}"
        )
    client_ca = None
    if settings.tls_client_ca is not None:
        client_ca = _read(settings.tls_client_ca, "tls_client_ca")
        _certificates(client_ca, settings.tls_client_ca, "tls_client_ca")
    return KeyPair(chain, key, client_ca, first.not_valid_after_utc.timestamp())


def _read(path: Path | None, name: str) -> bytes:
    assert path is not None  # noqa: S101 - the settings have seen to it
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigurationError(f"gateway.{name}: cannot read {path}: {error.strerror}") from None


def _certificates(pem: bytes, path: Path | None, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigurationError(f"gateway.{name}: {path} holds no PEM certificate") from None


def _public_key(pem: bytes, path: Path | None) -> object:
    try:
        return load_pem_private_key(pem, password=None).public_key()
    except TypeError:
        raise ConfigurationError(
            f"gateway.tls_key: {path} is encrypted; a key without a password is needed"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"gateway.tls_key: {path} holds no PEM private key") from None
