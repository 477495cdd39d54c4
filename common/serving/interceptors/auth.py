"""Who may call what."""

import hashlib
import json
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.errors import PermissionDeniedError, UnauthenticatedError
from common.serving.interceptors.base import Call, CallInterceptor, Context
from common.serving.interceptors.roles import OPEN, Role, allows, required_role

_SCHEME = "bearer "
_JWT_DOTS = 2
_SHOW_TOKEN = 'eval "$(aimass env)"'


@dataclass(frozen=True)
class Caller:
    """Whose token came with the call.

    Attributes:
        subject: Name of the person or process.
        role: What it may do.
    """

    subject: str
    role: Role


_NOBODY = Caller("nobody", Role.VIEWER)
_caller: ContextVar[Caller] = ContextVar("caller", default=_NOBODY)


def caller() -> Caller:
    """Returns who made the call that is being served."""
    return _caller.get()


@contextmanager
def acting_as(subject: str) -> Iterator[None]:
    """Makes a part of a service itself the caller of what is done inside, with an editor's role."""
    former = _caller.set(Caller(subject, Role.EDITOR))
    try:
        yield
    finally:
        _caller.reset(former)


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
        found = await self._authenticate(call.metadata.get("authorization", ""))
        needed = required_role(call.method)
        if needed is None or not allows(found.role, needed):
            raise PermissionDeniedError(
                f"{found.subject} has the role {found.role.value}; {call.method} needs "
                f"{needed.value if needed else 'a role that nobody has'}.",
                reason="ROLE_TOO_LOW",
            )
        _caller.set(found)

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
