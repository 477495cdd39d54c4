"""Secured connections, against real servers with certificates of a throw-away authority."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common.calls import client
from common.config import ServerSettings
from common.identity import Role
from common.serving.server import start_server
from common.testing.certificates import Authority, environment
from common.testing.server import TOKENS, token_table
from common.tls import TlsError, TlsFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@asynccontextmanager
async def serving(tls: TlsFiles) -> AsyncIterator[str]:
    settings = ServerSettings(drain_seconds=0)
    server = await start_server([], settings, token_table(), tls)
    try:
        yield server.address
    finally:
        await server.stop(0)


async def check(address: str, tls: TlsFiles) -> grpc.StatusCode:
    """Asks for health over a new connection. Returns the code."""
    async with client.connect(address, TOKENS[Role.VIEWER], tls) as channel:
        try:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=5
            )
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def check_sync(address: str, tls: TlsFiles) -> None:
    with client.connect_sync(address, TOKENS[Role.VIEWER], tls) as channel:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)


async def test_a_secured_server_is_called_by_both_kinds_of_channel(authority: Authority) -> None:
    """Who trusts the authority gets in; who speaks in the clear or trusts another does not."""
    stranger = Authority(authority.path.parent / "stranger")
    async with serving(authority.issue("server")) as address:
        assert await check(address, TlsFiles(ca_file=authority.path)) is grpc.StatusCode.OK
        await asyncio.to_thread(check_sync, address, TlsFiles(ca_file=authority.path))
        assert await check(address, TlsFiles()) is not grpc.StatusCode.OK
        other = TlsFiles(ca_file=stranger.path)
        assert await check(address, other) is grpc.StatusCode.UNAVAILABLE


async def test_mtls_turns_away_who_shows_no_certificate(authority: Authority) -> None:
    """Where client certificates are required, a token alone opens nothing."""
    stranger = Authority(authority.path.parent / "stranger").issue("client")
    server = replace(authority.issue("server"), requires_client_cert=True)
    async with serving(server) as address:
        assert await check(address, authority.issue("client")) is grpc.StatusCode.OK
        bare = TlsFiles(ca_file=authority.path)
        assert await check(address, bare) is grpc.StatusCode.UNAVAILABLE
        foreign = replace(stranger, ca_file=authority.path)
        assert await check(address, foreign) is grpc.StatusCode.UNAVAILABLE


async def test_a_name_can_stand_for_all_addresses(authority: Authority) -> None:
    """Pods have addresses that no certificate carries: one name for all servers is enough."""
    async with serving(authority.issue("aimass")) as address:
        named = TlsFiles(ca_file=authority.path, server_name="aimass")
        assert await check(address, named) is grpc.StatusCode.OK
        wrong = replace(named, server_name="elsewhere")
        assert await check(address, wrong) is grpc.StatusCode.UNAVAILABLE


async def said_to(tls: TlsFiles, server: TlsFiles) -> str:
    """Returns what a client that fails to connect is told."""
    async with serving(server) as address, client.connect(address, "t", tls) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=5
            )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return tls.explain(caught.value.details() or "")


async def test_a_connection_that_fails_says_what_is_wrong(authority: Authority) -> None:
    """Protects users from reading handshake errors: each cause has a sentence with its cure."""
    stranger = Authority(authority.path.parent / "stranger", "another authority")
    server, trusting = authority.issue("server"), TlsFiles(ca_file=authority.path)
    mutual = replace(server, requires_client_cert=True)
    foreign = replace(stranger.issue("client"), ca_file=authority.path)
    old = authority.issue("old", lifetime=timedelta(seconds=-60))
    namesake = Authority(authority.path.parent / "namesake")
    cases = [
        (TlsFiles(ca_file=stranger.path), server, "none of the authorities in AIMASS_TLS_CA_FILE"),
        (TlsFiles(ca_file=namesake.path), server, "none of the authorities in AIMASS_TLS_CA_FILE"),
        (replace(trusting, server_name="elsewhere"), server, "set AIMASS_TLS_SERVER_NAME"),
        (trusting, TlsFiles(), "The server speaks in the clear"),
        (TlsFiles(), server, "If it is secured by TLS"),
        (trusting, mutual, "If it wants a certificate of its clients"),
        (foreign, mutual, "It may not take the certificate in"),
        (old, mutual, "see whether it has expired"),
    ]
    for tls, its, sentence in cases:
        assert sentence in await said_to(tls, its)
    assert trusting.explain("Connection refused") == ""


async def served_certificate(address: str, tls: TlsFiles) -> bytes:
    """Returns the certificate that a server shows."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown


async def test_a_replaced_certificate_is_taken_without_a_restart(authority: Authority) -> None:
    """New connections get the new certificate; a broken pair leaves the old one in place."""
    files = authority.issue("server")
    assert files.key_file is not None
    async with serving(files) as address:
        first = await served_certificate(address, files)
        authority.issue("server")
        second = await served_certificate(address, files)
        assert second != first
        files.key_file.write_text("half a key")
        assert await served_certificate(address, files) == second


def test_what_does_not_fit_together_is_refused(authority: Authority, tmp_path: Path) -> None:
    """Each wrong set-up is named with its cure before anything listens or dials."""
    good = environment(authority.issue("good"))
    other = environment(authority.issue("other"))
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    cases: list[tuple[Mapping[str, str], str]] = [
        ({**good, "AIMASS_TLS_KEY_FILE": ""}, "go together"),
        ({**good, "AIMASS_TLS_CA_FILE": ""}, "AIMASS_TLS_CA_FILE is not set"),
        ({"AIMASS_TLS_REQUIRE_CLIENT_CERT": "true"}, "AIMASS_TLS_CA_FILE is not set"),
        ({**good, "AIMASS_TLS_REQUIRE_CLIENT_CERT": "maybe"}, "neither true nor false"),
        ({**good, "AIMASS_TLS_CA_FILE": str(nothing)}, "holds no certificate"),
        ({**good, "AIMASS_TLS_CERT_FILE": "/no/such"}, "cannot be read"),
        ({**good, "AIMASS_TLS_KEY_FILE": other["AIMASS_TLS_KEY_FILE"]}, "do not fit together"),
    ]
    for variables, message in cases:
        with pytest.raises(TlsError, match=message):
            TlsFiles.from_environment(variables)
    assert TlsFiles.from_environment(good).is_on
    assert not TlsFiles.from_environment({}).is_on


def test_a_server_without_a_valid_certificate_does_not_start(authority: Authority) -> None:
    """Trust alone secures no server, and an expired certificate is named before clients fail."""
    with pytest.raises(TlsError, match="a server needs"):
        TlsFiles(ca_file=authority.path).check_server()
    with pytest.raises(TlsError, match="expired"):
        authority.issue("old", timedelta(days=-1)).check_server()
