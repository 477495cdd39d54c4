"""Streams of messages between a caller and a scorer."""

import asyncio
from collections.abc import AsyncIterator

from aimass.outlier.v1 import outlier_pb2
from services.outlier.scoring import with_pauses

Request = outlier_pb2.ScoreStreamRequest


def test_pauses_are_told_and_no_message_is_lost() -> None:
    """What was learned is saved while a caller is silent; the message it sends then is answered."""
    first, second = Request(), Request(start=outlier_pb2.StreamStart(explain=True))
    goes_on = asyncio.Event()

    async def requests() -> AsyncIterator[Request]:
        yield first
        await goes_on.wait()
        yield second

    async def received() -> list[Request | None]:
        found: list[Request | None] = []
        async for message in with_pauses(requests(), 0.001):
            found.append(message)
            if found.count(None) == 3:
                goes_on.set()
        return found

    found = asyncio.run(received())
    assert found[0] == first and found[1:4] == [None] * 3
    assert [each for each in found if each is not None] == [first, second]
