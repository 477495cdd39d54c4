"""Calls to services that may be away for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from common.peers import PeerError
from common.runs import waiting

_RETRY_SECONDS = 0.2
_AWAY = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
_PASSING = (grpc.StatusCode.ABORTED, *_AWAY)
_Answer = TypeVar("_Answer")


class AwayError(Exception):
    """A service could not be reached for as long as it was waited for."""


async def patiently(call: Callable[[], Awaitable[_Answer]], patience: float) -> _Answer:
    """Returns what a service answers; one that is away is asked again.

    Those who watch the run that waits hear which service it waits for, and that it is back.

    Args:
        call: May be repeated: a read, or a write to a named resource or with a request id.
        patience: Seconds that a service which is away is waited for.

    Raises:
        grpc.aio.AioRpcError: It refuses.
        AwayError: It is away for longer.
    """
    begun = time.monotonic()
    away = ""
    while True:
        try:
            answer = await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _PASSING:
                raise
            if time.monotonic() - begun > patience:
                raise AwayError from error
            if not away and error.code() in _AWAY:
                away = error.peer if isinstance(error, PeerError) else "a service"
                waiting.told(f"This run waits for {away}, which cannot be reached.")
        else:
            if away:
                seconds = time.monotonic() - begun
                waiting.told(f"{away.capitalize()} is back after {seconds:.0f} s; the run goes on.")
            return answer
        await asyncio.sleep(_RETRY_SECONDS)
