"""Tokens of an issuer, shown to a real server."""

import asyncio
import base64
import hmac
import http.server
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from common.calls import client
from common.config import JwtSettings, ServerSettings
from common.errors import UnavailableError
from common.identity import caller
from common.serving.interceptors import TokenTable
from common.serving.interceptors.issuer import Issuer, KeySet, parse_keys, source_of
from common.serving.server import Service, start_server

ISSUER, AUDIENCE = "https://issuer.test", "aimass"
NAME = "aimass.trainer.v1.TrainingService"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def document(*, with_ec: bool = True) -> bytes:
    """Returns the issuer's JWKS document."""
    keys = [RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa"}]
    if with_ec:
        keys.append(ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"})
    return json.dumps({"keys": keys}).encode()


def settings(**changes: object) -> JwtSettings:
    values = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks": "unused"}
    return JwtSettings.model_validate(values | changes)


def claims(**changes: object) -> dict[str, object]:
    now = time.time()
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "exp": now + 60,
        "aimass_role": "editor",
    } | changes


def signed(kid: str = "rsa", **changes: object) -> str:
    kept = {name: value for name, value in claims(**changes).items() if value is not None}
    if kid == "ec":
        return jwt.encode(kept, EC_KEY, "ES256", {"kid": kid})
    return jwt.encode(kept, RSA_KEY, "RS256", {"kid": kid})


def signed_with_public_key() -> str:
    """Returns a token signed by what everybody knows, which some checkers take for a secret."""
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head, body, _ = jwt.encode(claims(), "x" * 32, "HS256", {"kid": "rsa"}).split(".")
    digest = hmac.digest(public, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


class Servicer(trainer_pb2_grpc.TrainingServiceServicer):
    """Says who called."""

    async def GetTrainingRun(  # noqa: N802
        self, request: trainer_pb2.GetTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Returns a run named like the caller."""
        return trainer_pb2.TrainingRun(name=f"{caller().subject} {caller().role.value}")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Serves with an issuer beside an empty token file."""
    servicer = Servicer()  # type: ignore[abstract]
    service = Service(
        NAME,
        lambda server: trainer_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server),
    )
    issuer = Issuer(settings(), KeySet(document))
    server = await start_server([service], ServerSettings(), TokenTable({}), None, issuer)
    yield server.address
    await server.stop(0)


async def ask(address: str, token: str) -> str:
    """Calls with a token. Returns who the server takes the caller for, or the code."""
    async with client.connect(address, token) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        try:
            return (await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest())).name
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {error.details()}"


@pytest.mark.parametrize("kid", ["rsa", "ec"])
async def test_a_valid_token_names_its_caller(address: str, kid: str) -> None:
    """Subject and role come from the token, whichever of the two algorithms signed it."""
    assert await ask(address, signed(kid)) == "ada editor"


async def test_what_is_wrong_with_a_token_keeps_it_out(address: str) -> None:
    """Time, issuer, audience, key, signature and algorithm: each alone is enough."""
    head, body, signature = signed().split(".")
    forged = jwt.encode(claims(aimass_role="admin"), OTHER_KEY, "RS256").split(".")[1]
    bad = {
        "expired": signed(exp=time.time() - 120),
        "not yet valid": signed(nbf=time.time() + 120),
        "other issuer": signed(iss="https://other.test"),
        "other audience": signed(aud="somebody else"),
        "without expiry": signed(exp=None),
        "without subject": signed(sub=None),
        "without audience": signed(aud=None),
        "unknown key": jwt.encode(claims(), OTHER_KEY, "RS256", {"kid": "other"}),
        "foreign key under a known id": jwt.encode(claims(), OTHER_KEY, "RS256", {"kid": "rsa"}),
        "changed body": f"{head}.{forged}.{signature}",
        "cut signature": f"{head}.{body}.",
        "none": jwt.encode(claims(), "", "none", {"kid": "rsa"}),
        "an empty subject": signed(sub=""),
        "HS256": jwt.encode(claims(), "x" * 32, "HS256", {"kid": "rsa"}),
        "HS256 with the public key": signed_with_public_key(),
        "RS512": jwt.encode(claims(), RSA_KEY, "RS512", {"kid": "rsa"}),
        "no JSON": "a.b.c",
    }
    for what, token in bad.items():
        answer = await ask(address, token)
        assert answer.startswith("UNAUTHENTICATED"), (what, answer)


async def test_clocks_may_differ_a_little(address: str) -> None:
    """A token that ran out a moment ago by our clock is still good."""
    assert await ask(address, signed(exp=time.time() - 5)) == "ada editor"


async def test_a_refusal_for_the_time_tells_the_services_clock(address: str) -> None:
    """Who fetches a new token in vain learns that a clock is wrong, and which."""
    refused = {
        "has expired": signed(exp=time.time() - 120),
        "not valid yet": signed(nbf=time.time() + 120),
    }
    for words, token in refused.items():
        answer = await ask(address, token)
        assert words in answer
        assert time.strftime("it is %Y-%m-%dT", time.gmtime()) in answer


async def test_a_token_without_a_role_opens_nothing(address: str) -> None:
    """Being known to the issuer is not enough: the message names the claim."""
    for role in (None, "king", {"a": "admin"}, 3, ["none"]):
        answer = await ask(address, signed(aimass_role=role))
        assert answer.startswith("PERMISSION_DENIED") and "aimass_role" in answer


async def test_roles_at_a_path_and_in_a_list() -> None:
    """Issuers differ in where they put roles; of several the strongest holds."""
    keys = KeySet(document)
    nested = Issuer(settings(jwt_role_claim="realm.roles"), keys)
    found = await nested.caller_of(signed(realm={"roles": ["x", "viewer", "admin"]}))
    assert found.role.value == "admin"
    dotted = Issuer(settings(jwt_role_claim="https://a.test/role"), keys)
    assert (await dotted.caller_of(signed(**{"https://a.test/role": "agent"}))).role.value == (
        "agent"
    )


class Fetch:
    """A source of keys that counts."""

    def __init__(self) -> None:
        self.count = 0
        self.answer: bytes | OSError = document(with_ec=False)

    def __call__(self) -> bytes:
        self.count += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


async def test_keys_are_fetched_anew_when_needed_and_seldom() -> None:
    """A new key works at once; invented ids cost one fetch in 30 s; old keys outlive an outage."""
    fetch, now = Fetch(), [1000.0]
    keys = KeySet(fetch, lambda: now[0])
    assert await keys.find("rsa") is not None
    fetch.answer = document()
    await asyncio.gather(*(keys.find(f"invented-{number}") for number in range(50)))
    assert fetch.count == 1
    now[0] += 31
    found = await asyncio.gather(*(keys.find("ec") for _ in range(50)))
    assert all(found) and fetch.count == 2
    fetch.answer = OSError("away")
    now[0] += 3601
    assert await keys.find("rsa") is not None
    assert fetch.count == 3


async def test_without_any_keys_callers_are_told_to_try_again() -> None:
    """An issuer that is away is no fault of the token."""
    fetch = Fetch()
    fetch.answer = OSError("away")
    with pytest.raises(UnavailableError):
        await KeySet(fetch).find("rsa")


@contextmanager
def web_server(answers: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """Serves fixed answers on the loopback interface. Yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            self.send_header("Location", "/keys")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_keys_come_from_files_and_safe_urls_only(tmp_path: Path) -> None:
    """Keys decide who gets in: no open connection, no redirect, no endless document."""
    file = tmp_path / "keys.json"
    file.write_bytes(document())
    assert set(parse_keys(source_of(str(file))())) == {"rsa", "ec"}
    answers = {"/keys": (200, document()), "/moved": (302, b""), "/huge": (200, b" " * 2**21)}
    with web_server(answers) as url:
        assert set(parse_keys(source_of(f"{url}/keys")())) == {"rsa", "ec"}
        for path in ("/moved", "/huge"):
            with pytest.raises(OSError):
                source_of(f"{url}{path}")()
    with pytest.raises(ValueError, match="https"):
        source_of("http://issuer.test/keys")
    for text in ("{}", '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "[]"):
        file.write_text(text)
        with pytest.raises(ValueError, match="cannot be used"):
            source_of(str(file))


def test_half_an_issuer_is_refused() -> None:
    """Without an audience, tokens made for others would open the suite."""
    with pytest.raises(ValueError, match="AIMASS_JWT_AUDIENCE"):
        JwtSettings(jwt_issuer=ISSUER, jwt_jwks="/keys")
