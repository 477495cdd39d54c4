"""Who may call what."""

import hashlib
import json
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from common.errors import PermissionDeniedError, UnauthenticatedError
from common.identity import ON_BEHALF_OF, Caller, Role, set_caller
from common.serving.interceptors.base import Call, CallInterceptor, Context
from common.serving.interceptors.roles import OPEN, allows_caller, required_role

_SCHEME = "bearer "
_JWT_DOTS = 2
_SHOW_TOKEN = 'eval "$(aimass env)"'


class TokenTable:
    """The tokens that are accepted, kept as digests so that a memory dump or log shows none."""

    def __init__(self, tokens: Mapping[str, Caller]) -> None:
        self._callers = {_digest(token): owner for token, owner in tokens.items()}

    @classmethod
    def from_file(cls, path: Path) -> "TokenTable":
        """Reads `{"tokens": [{"token": ..., "subject": ..., "role": ...}]}`.

        A file of root's may be read by its group: so a platform hands a secret to a process of
        another user.

        Raises:
            ValueError: The file is open to others than its owner, or not of that form.
        """
        status = path.stat()
        group = stat.S_IRWXG if status.st_uid else stat.S_IWGRP | stat.S_IXGRP
        if status.st_mode & (group | stat.S_IRWXO):
            raise ValueError(f"{path} is open to other users; run: chmod 600 {path}")
        entries = json.loads(path.read_text())["tokens"]
        return cls(
            {entry["token"]: Caller(entry["subject"], Role(entry["role"])) for entry in entries}
        )

    def find(self, token: str) -> Caller | None:
        """Returns the owner of a token."""
        return self._callers.get(_digest(token))


class CallerSource(Protocol):
    """Who knows tokens that are in no file."""

    async def caller_of(self, token: str) -> Caller:
        """Returns whom a token was given to. Raises `UnauthenticatedError` and the like."""
        ...


def _asked_for(owner: Caller, header: str) -> Caller:
    """Returns who is behind a call: the token's owner, or whom a service asks for."""
    if not header:
        return owner
    if owner.role is not Role.SERVICE:
        raise PermissionDeniedError(
            f"{owner.subject} has the role {owner.role.value}; only a service may ask for others. "
            f"Leave the metadata `{ON_BEHALF_OF}` out; where this is the token of a service, give "
            "it the role `service`.",
            reason="NO_SERVICE",
        )
    try:
        return Caller.from_header(header, owner.subject)
    except ValueError:
        raise PermissionDeniedError(
            f"The metadata `{ON_BEHALF_OF}` must be a role and a subject, percent-encoded: "
            "`editor:alice%40example.com`.",
            reason="MALFORMED_CALLER",
        ) from None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class AuthInterceptor(CallInterceptor):
    """Deny by default: a call needs a known token whose role allows the method."""

    def __init__(self, tokens: TokenTable, issuer: CallerSource | None = None) -> None:
        """Prepares.

        Args:
            tokens: The tokens of the file.
            issuer: Knows JSON web tokens.
        """
        self._tokens = tokens
        self._issuer = issuer

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        """Lets the call pass or raises."""
        await self._check(call)
        yield

    async def _check(self, call: Call) -> None:
        if call.method.startswith(OPEN):
            return
        owner = await self._authenticate(call.metadata.get("authorization", ""))
        # Known from here on, so that the log names also those who are refused.
        set_caller(owner)
        found = _asked_for(owner, call.metadata.get(ON_BEHALF_OF, ""))
        set_caller(found)
        needed = required_role(call.method)
        if needed is None or not allows_caller(found, needed):
            raise PermissionDeniedError(
                f"{found.subject} has the role {found.role.value}; {call.method} needs "
                f"{needed.value if needed else 'a role that nobody has'}.",
                reason="ROLE_TOO_LOW",
            )

    async def _authenticate(self, header: str) -> Caller:
        if not header:
            raise UnauthenticatedError(
                "No token. Send the metadata `authorization: Bearer <token>`; "
                "`aimass env` shows the local suite's.",
                reason="TOKEN_MISSING",
                help_command=_SHOW_TOKEN,
            )
        token = header[len(_SCHEME) :] if header.lower().startswith(_SCHEME) else ""
        found = self._tokens.find(token)
        if found is None and self._issuer is not None and token.count(".") == _JWT_DOTS:
            return await self._issuer.caller_of(token)
        if found is None:
            raise UnauthenticatedError(
                "The token is not known here. `aimass env` shows the local suite's token.",
                reason="TOKEN_UNKNOWN",
                help_command=_SHOW_TOKEN,
            )
        return found
