"""TLS at the edge, over real sockets, with certificates made here."""

import asyncio
import ssl
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.errors import ConfigurationError
from services.gateway.server import Gateway
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.certificates import Authority, encrypt_key
from tests.unit.gateway.conftest import edge_settings

QUESTION = pb.ReasonRequest(question="What is 6 times 7?")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "server")


def tls(certificate: Path, key: Path, **more: object) -> dict[str, object]:
    return {"tls_certificate": certificate, "tls_key": key, **more}


async def answer(port: int, authority: Authority, *, client=None) -> str:
    """Asks over a connection of its own."""
    key, chain = (path.read_bytes() for path in reversed(client)) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.path.read_bytes(), key, chain)
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options) as channel:
        reply = await pb_grpc.ReasoningServiceStub(channel).Reason(QUESTION, timeout=10)
        return reply.answer


def served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))


async def metric(edge, name: str) -> float | None:
    def page() -> str:
        url = f"http://127.0.0.1:{edge.gateway.metrics_port}/metrics"
        return urllib.request.urlopen(url, timeout=5).read().decode()

    for line in (await asyncio.to_thread(page)).splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    return None


async def test_a_question_is_answered_over_tls(make_edge, authority):
    edge = await make_edge(**tls(*authority.issue("gateway")))
    assert await answer(edge.gateway.port, authority) == "42"


async def test_a_plain_client_gets_nothing_from_a_tls_port(make_edge, authority):
    edge = await make_edge(**tls(*authority.issue("gateway")))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await edge.reasoning.Reason(QUESTION, timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_trusts_another_authority_refuses(make_edge, authority, tmp_path):
    edge = await make_edge(**tls(*authority.issue("gateway")))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer(edge.gateway.port, Authority(tmp_path / "other"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_with_a_client_authority_only_its_clients_are_served(make_edge, authority, tmp_path):
    clients, strangers = Authority(tmp_path / "clients"), Authority(tmp_path / "strangers")
    edge = await make_edge(**tls(*authority.issue("gateway"), tls_client_ca=clients.path))
    port = edge.gateway.port
    assert await answer(port, authority, client=clients.issue("ana")) == "42"
    for client in (None, strangers.issue("ben")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answer(port, authority, client=client)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_is_served_to_new_connections(make_edge, authority):
    edge = await make_edge(**tls(*authority.issue("gateway", days=3)))
    before = await asyncio.to_thread(served_certificate, edge.gateway.port)
    authority.issue("gateway", days=20)
    after = await asyncio.to_thread(served_certificate, edge.gateway.port)
    assert before != after
    assert after.strip() == authority.path.with_name("gateway.pem").read_text().strip()
    assert await answer(edge.gateway.port, authority) == "42"


async def test_a_renewed_client_authority_takes_effect(make_edge, authority, tmp_path):
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    edge = await make_edge(**tls(*authority.issue("gateway"), tls_client_ca=old.path))
    client = new.issue("ana")
    with pytest.raises(grpc.aio.AioRpcError):
        await answer(edge.gateway.port, authority, client=client)
    old.path.write_bytes(new.path.read_bytes())
    assert await answer(edge.gateway.port, authority, client=client) == "42"


async def test_half_a_renewal_leaves_the_old_certificate_until_it_is_whole(make_edge, authority):
    certificate, key = authority.issue("gateway")
    edge = await make_edge(**tls(certificate, key))
    renewed, its_key = authority.issue("renewed")
    certificate.write_bytes(renewed.read_bytes())  # the key is still the old one's
    assert await answer(edge.gateway.port, authority) == "42"
    key.write_bytes(its_key.read_bytes())
    served = await asyncio.to_thread(served_certificate, edge.gateway.port)
    assert served.strip() == renewed.read_text().strip()


async def test_the_expiry_is_a_metric_that_follows_a_renewal(make_edge, authority):
    name = "nesycd_certificate_expiry_timestamp_seconds"
    edge = await make_edge(**tls(*authority.issue("gateway", days=3)))
    assert await metric(edge, name) == pytest.approx(time.time() + 3 * 86400, abs=60)
    authority.issue("gateway", days=20)
    assert await metric(edge, name) == pytest.approx(time.time() + 20 * 86400, abs=60)


async def test_without_tls_there_is_no_expiry(edge):
    assert await metric(edge, "nesycd_certificate_expiry_timestamp_seconds") is None


async def test_health_alone_is_answered_in_plain_grpc_on_a_port_of_its_own(make_edge, authority):
    edge = await make_edge(**tls(*authority.issue("gateway")), health_port=0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.gateway.health_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        asking = health_pb2.HealthCheckRequest(service="nesycd.v1.ReasoningService")
        async with asyncio.timeout(10):
            while (await stub.Check(asking)).status != health_pb2.HealthCheckResponse.SERVING:
                await asyncio.sleep(0.02)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.ReasoningServiceStub(channel).Reason(QUESTION)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def _of_another(files):
    other = Authority(files["key"].parent / "other").issue("other")
    files["key"].write_bytes(other[1].read_bytes())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda files: files["pem"].unlink(), "tls_certificate: cannot read {pem}: No such file"),
        (lambda files: files["key"].unlink(), "tls_key: cannot read {key}: No such file"),
        (lambda files: files["pem"].write_text("x"), "tls_certificate: {pem} holds no PEM cert"),
        (lambda files: files["key"].write_text("x"), "tls_key: {key} holds no PEM private key"),
        (_of_another, "tls_key: {key} is not the key of the first certificate in {pem}"),
        (lambda files: encrypt_key(files["key"]), "tls_key: {key} is encrypted; a key without"),
    ],
    ids=["no certificate", "no key", "bad certificate", "bad key", "other key", "encrypted key"],
)
def test_a_wrong_file_stops_the_start_with_one_line(authority, spoil, said):
    certificate, key = authority.issue("gateway")
    files = {"pem": certificate, "key": key}
    spoil(files)
    with pytest.raises(ConfigurationError) as caught:
        Gateway(edge_settings("127.0.0.1:1", **tls(certificate, key)))
    assert caught.value.message.startswith(f"gateway.{said.format(**files)}")
    assert "\n" not in caught.value.message


def test_a_wrong_client_authority_stops_the_start(authority, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    settings = tls(*authority.issue("gateway"), tls_client_ca=tmp_path / "ca.pem")
    with pytest.raises(ConfigurationError, match=r"gateway\.tls_client_ca: .* holds no PEM"):
        Gateway(edge_settings("127.0.0.1:1", **settings))


async def cli(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return await process.wait(), out.decode(), err.decode()


async def test_the_command_line_asks_over_mutual_tls(make_edge, authority, tmp_path):
    clients = Authority(tmp_path / "clients")
    edge = await make_edge(**tls(*authority.issue("gateway"), tls_client_ca=clients.path))
    address = ("--address", f"localhost:{edge.gateway.port}")
    trusting = ("--tls-ca", str(authority.path))
    certificate, key = map(str, clients.issue("ana"))
    own = ("--tls-certificate", certificate, "--tls-key", key)
    code, out, err = await cli("ask", "What is 6 times 7?", *address, *trusting, *own)
    assert (code, err) == (0, "")
    assert "42" in out
    code, _, err = await cli("entries", "find", "percent", *address, "--tls")
    assert code == 1
    # Above it grpc's own code has its say on standard error.
    assert err.splitlines()[-1].startswith(
        f"nesycd: no TLS connection to localhost:{edge.gateway.port}: "
    )
