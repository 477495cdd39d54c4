"""Waiting until something is so."""

import asyncio
import contextlib
import time
from collections.abc import Callable


class Changes:
    """Tells one waiter that something changed. For one event loop."""

    def __init__(self) -> None:
        """Starts without a change."""
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something changed."""
        self._event.set()

    async def next(self, seconds: float) -> None:
        """Waits for the next change, at most so many seconds."""
        self._event.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until a condition holds, looking at it after each change.

        Args:
            condition: Cheap, without side effects.
            seconds: How long to wait at most.

        Returns:
            Whether the condition holds now.
        """
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            await self.next(deadline - time.monotonic())
        return condition()
