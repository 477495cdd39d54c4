"""Calls to services that may be away for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

_RETRY_SECONDS = 0.2
_PASSING = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)
_Answer = TypeVar("_Answer")


class AwayError(Exception):
    """A service could not be reached for as long as it was waited for."""


async def patiently(call: Callable[[], Awaitable[_Answer]], patience: float) -> _Answer:
    """Returns what a service answers; one that is away is asked again.

    Args:
        call: May be repeated: a read, or a write to a named resource or with a request id.
        patience: Seconds that a service which is away is waited for.

    Raises:
        grpc.aio.AioRpcError: It refuses.
        AwayError: It is away for longer.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _PASSING:
                raise
            if time.monotonic() > deadline:
                raise AwayError from error
        await asyncio.sleep(_RETRY_SECONDS)
