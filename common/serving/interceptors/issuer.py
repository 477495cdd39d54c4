"""Tokens of an issuer: JSON web tokens (RFC 7519), checked with its published keys (RFC 7517)."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import jwt

from common.config import JwtSettings
from common.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError
from common.identity import Caller, Role
from common.tasks import outcome

_log = logging.getLogger(__name__)

# Asymmetric only: with HS256 whoever can check a token can also make one.
_ALGORITHMS = ["RS256", "ES256"]
_REQUIRED = ["exp", "iss", "aud", "sub"]
_MAX_AGE_SECONDS = 3600.0
_REFETCH_SECONDS = 30.0
_FETCH_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The strongest first: a caller with several roles gets the first of these.
_RANKED = (Role.ADMIN, Role.SERVICE, Role.EDITOR, Role.VIEWER, Role.AGENT)


class Issuer:
    """Checks tokens of one issuer. For one event loop.

    Args:
        settings: The issuer, its audience and its keys; `jwt_issuer` is set.
        keys: Its keys; by default those that the settings name.

    Raises:
        ValueError: The keys are a file that cannot be used, or come over an open connection.
    """

    def __init__(self, settings: JwtSettings, keys: "KeySet | None" = None) -> None:
        self._settings = settings
        self._keys = keys or KeySet(source_of(settings.jwt_jwks))

    async def caller_of(self, token: str) -> Caller:
        """Returns whom a token was given to.

        Raises:
            UnauthenticatedError: The token is not valid, not for this suite or has expired.
            PermissionDeniedError: It carries no role.
            UnavailableError: The issuer's keys cannot be fetched.
        """
        try:
            key = await self._keys.find(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise jwt.InvalidTokenError("its key is not among those of the issuer")
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                leeway=self._settings.jwt_leeway_seconds,
                options={"require": _REQUIRED},
            )
            if not claims["sub"]:
                raise jwt.InvalidTokenError("its subject is empty")
        except jwt.ExpiredSignatureError:
            message = (
                f"The token has expired: it is {_now()} by this service's clock; get a new one "
                f"from {self._settings.jwt_issuer}."
            )
            raise UnauthenticatedError(message, reason="TOKEN_EXPIRED") from None
        except jwt.ImmatureSignatureError:
            message = (
                f"The token is not valid yet: it is {_now()} by this service's clock. If that is "
                "wrong, set it by NTP."
            )
            raise UnauthenticatedError(message, reason="TOKEN_NOT_YET_VALID") from None
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(
                f"The token is not accepted: {error}. Tokens of {self._settings.jwt_issuer} for "
                f"{self._settings.jwt_audience} are, signed by {' or '.join(_ALGORITHMS)}.",
                reason="TOKEN_INVALID",
            ) from None
        return Caller(str(claims["sub"]), self._role(claims))

    def _role(self, claims: Mapping[str, object]) -> Role:
        claim = self._settings.jwt_role_claim
        found = claims.get(claim, _at_path(claims, claim))
        given = found if isinstance(found, list) else [found]
        for role in _RANKED:
            if role.value in given:
                return role
        raise PermissionDeniedError(
            f"The token of {claims['sub']} carries no role: its claim `{claim}` must be or contain "
            f"one of {', '.join(role.value for role in _RANKED)}.",
            reason="ROLE_MISSING",
        )


def _now() -> str:
    # Who gets a new token in vain sees that the clock is to blame.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _at_path(claims: Mapping[str, object], path: str) -> object:
    value: object = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


class KeySet:
    """The issuer's keys, kept for an hour, and fetched anew for an unknown key id.

    However many unknown ids callers invent, a fetch happens at most every 30 s, and one at a time.

    Args:
        fetch: Returns the JSON document; may block.
        clock: Seconds that never go back.
    """

    def __init__(
        self, fetch: Callable[[], bytes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -_MAX_AGE_SECONDS
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Returns a key; without an id the only one there is. None where it is unknown.

        Raises:
            UnavailableError: There are no keys yet, and they cannot be fetched.
        """
        now = self._clock()
        is_old = now - self._fetched_at >= _MAX_AGE_SECONDS
        is_allowed = now - self._tried_at >= _REFETCH_SECONDS or self._refreshing is not None
        if (is_old or self._known(key_id) is None) and is_allowed:
            await self._refresh()
        if not self._keys:
            raise UnavailableError(
                "The issuer's keys cannot be fetched now; try again.", reason="ISSUER_UNAVAILABLE"
            )
        return self._known(key_id)

    def _known(self, key_id: str) -> jwt.PyJWK | None:
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _refresh(self) -> None:
        if self._refreshing is None:
            self._tried_at = self._clock()
            self._refreshing = asyncio.create_task(self._load())
        # The call may be cancelled; others wait for the same keys.
        await outcome(self._refreshing)

    async def _load(self) -> None:
        try:
            self._keys = parse_keys(await asyncio.to_thread(self._fetch))
            self._fetched_at = self._clock()
        except (OSError, ValueError) as error:
            _log.warning("the issuer's keys are not refreshed: %s", error)
        finally:
            self._refreshing = None


def parse_keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """Returns the RSA and elliptic-curve keys of a JWKS document by id.

    Raises:
        ValueError: It is none, or holds no such key.
    """
    try:
        entries = json.loads(document)["keys"]
        usable = [each for each in entries if each.get("kty") in ("RSA", "EC")]
        found = jwt.PyJWKSet(usable).keys
    except (jwt.PyJWTError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a JWKS document with RSA or EC keys: {error}") from None
    return {key.key_id or "": key for key in found if key.public_key_use != "enc"}


def source_of(place: str) -> Callable[[], bytes]:
    """Returns what reads a JWKS document.

    Args:
        place: `https://` URL, or path of a file.

    Raises:
        ValueError: The file cannot be used, or the URL is not a safe one.
    """
    url = urlsplit(place)
    if url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK):
        return lambda: _download(place)
    if url.scheme:
        raise ValueError(f"AIMASS_JWT_JWKS={place}: keys must come by https:// or from a file.")
    path = Path(place)
    try:
        parse_keys(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"AIMASS_JWT_JWKS={place} cannot be used: {error}") from None
    return path.read_bytes


def _download(url: str) -> bytes:
    # Imported here: who reads keys from a file does without.
    import urllib3  # noqa: PLC0415

    try:
        # A redirect could lead to an open connection.
        answer = urllib3.request(
            "GET", url, timeout=_FETCH_SECONDS, retries=False, redirect=False, preload_content=False
        )
        with answer:
            if answer.status != 200:
                raise OSError(f"{url} answered {answer.status}")
            document: bytes = answer.read(_MAX_BYTES + 1)
    except urllib3.exceptions.HTTPError as error:
        raise OSError(f"{url}: {error}") from None
    if len(document) > _MAX_BYTES:
        raise OSError(f"{url} sent more than {_MAX_BYTES} bytes")
    return document
