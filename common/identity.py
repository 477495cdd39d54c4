"""Who asks: the caller of what is being done, and for whom services call each other.

A service shows a token of its own. Whom it asks for travels beside it, so that the log of the
service that is called, and the records that it makes, name the person.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, unquote

ON_BEHALF_OF = "x-aimass-on-behalf-of"
"""Metadata key: `<role>:<subject, percent-encoded>` of who asked. Taken from services alone."""


class Role(Enum):
    """What a caller may do. Viewer, editor and admin include each other in this order.

    A service may do what an editor and an agent may, and alone may ask for others.
    """

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    AGENT = "agent"
    SERVICE = "service"


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        subject: Name of the person or process.
        role: What it may do.
        service: Subject of the service that asks for it; empty where it calls itself.
    """

    subject: str
    role: Role
    service: str = ""

    @property
    def header(self) -> str:
        """What a service that asks for this caller sends as `ON_BEHALF_OF`."""
        return f"{self.role.value}:{quote(self.subject, safe='')}"

    @classmethod
    def from_header(cls, header: str, service: str) -> "Caller":
        """Reads what a service sent.

        Raises:
            ValueError: It is no role, or names nobody.
        """
        role, _, subject = header.partition(":")
        if not subject:
            raise ValueError("nobody is named")
        return cls(unquote(subject, errors="strict"), Role(role), service)


NOBODY = Caller("nobody", Role.VIEWER)
_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
_process: Caller | None = None


def caller() -> Caller:
    """Returns who made the call that is being served."""
    return _caller.get() or NOBODY


def set_caller(found: Caller) -> None:
    """Says who made the call that the current task serves."""
    _caller.set(found)


@contextmanager
def acting_as(subject: str) -> Iterator[None]:
    """Makes a part of a service itself the caller of what is done inside, with an editor's role."""
    former = _caller.set(Caller(subject, Role.EDITOR))
    try:
        yield
    finally:
        _caller.reset(former)


def work_for(creator: str) -> None:
    """Makes this process, with all its threads, ask for the creator of the run that it works on.

    Args:
        creator: Subject. Only editors create runs: more than an editor's role is not asked for.
    """
    global _process  # noqa: PLW0603  (context variables do not reach into new threads)
    is_known = creator not in ("", NOBODY.subject)
    _process = Caller(creator, Role.EDITOR) if is_known else None


def asking() -> Caller | None:
    """Returns for whom calls to other services are made; None for the process itself."""
    return _caller.get() or _process
