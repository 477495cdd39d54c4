"""A link that is cut breaks what uses it, and is whole again by itself."""

import asyncio

import pytest

from services.trainer.agent.link import Link


async def test_cut_breaks_connections_and_keeps_new_ones_away() -> None:
    """As when the cable is pulled, and plugged in again."""
    link = Link()
    inside = asyncio.Event()

    async def talk() -> None:
        async with link.whole():
            inside.set()
            await asyncio.Event().wait()

    talking = asyncio.create_task(talk())
    await inside.wait()
    link.cut(0.2)
    with pytest.raises(TimeoutError):
        await talking
    with pytest.raises(TimeoutError):
        await talk()
    await asyncio.sleep(0.25)
    inside.clear()
    again = asyncio.create_task(talk())
    await inside.wait()
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
