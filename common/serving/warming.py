"""What is made ready while a service starts, so that its first caller need not wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from common.errors import UnavailableError


@asynccontextmanager
async def warmed(
    warm: Callable[[], Awaitable[object]], is_wanted: bool = True
) -> AsyncIterator[None]:
    """Warms something up in the background, until that is done or the service ends.

    Args:
        warm: Does it; what it cannot reach stays cold.
        is_wanted: Whether it is done at all.
    """
    task = asyncio.create_task(_warm(warm)) if is_wanted else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


async def _warm(warm: Callable[[], Awaitable[object]]) -> None:
    with suppress(UnavailableError):
        await warm()
