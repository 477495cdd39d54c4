"""Stands in for the catalog where a job asks it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class AskedCatalog:
    """A catalog whose answers its subclass gives, in this process."""

    def ask(self, question: Callable[[Any], Awaitable[object]]) -> object:
        """Stands in for `ask_catalog`."""

        async def answer() -> object:
            return await question(self)

        return asyncio.run(answer())
