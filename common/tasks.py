"""Work that others may wait for, and that goes on where they leave."""

import asyncio
from typing import TypeVar

_Result = TypeVar("_Result")

# The event loop itself holds its tasks only weakly.
_outliving: set[asyncio.Task[object]] = set()


async def outcome(task: asyncio.Task[_Result]) -> _Result:
    """Returns what a task returns, or raises what it raises.

    A caller that is cancelled leaves the task running; an error that it ends with then is for
    nobody, and is not reported as one that was forgotten.
    """
    _outliving.add(task)
    task.add_done_callback(_take)
    return await asyncio.shield(task)


def _take(task: asyncio.Task[_Result]) -> None:
    _outliving.discard(task)
    if not task.cancelled():
        task.exception()
