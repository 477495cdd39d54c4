"""The agent's connections, which can be cut for a while as a fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Link:
    """Whole, or cut until a moment. For one event loop."""

    def __init__(self) -> None:
        """Starts whole."""
        self._cut_until = 0.0
        self._open: set[asyncio.Timeout] = set()

    def cut(self, seconds: float) -> None:
        """Breaks what goes on in `whole` now, and what is begun there for so long."""
        now = asyncio.get_running_loop().time()
        self._cut_until = max(self._cut_until, now + seconds)
        for timeout in self._open:
            timeout.reschedule(now)

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """A connection that is used in the block breaks with the link.

        Raises:
            TimeoutError: The link is cut, or was meanwhile.
        """
        if asyncio.get_running_loop().time() < self._cut_until:
            raise TimeoutError("the link is cut")
        async with asyncio.timeout(None) as timeout:
            self._open.add(timeout)
            try:
                yield
            finally:
                self._open.discard(timeout)
