"""Job processes as the executor sees them."""

import asyncio
import sys

from common.runs.processes import JobProcess, Standby

WAITS = [sys.executable, "-c", "import sys; sys.stdin.readline()"]
RINGS = "import socket, sys; name = sys.stdin.readline(); socket.socket(fileno=0).send(b'.')"


def test_time_on_standby_does_not_count_as_work() -> None:
    """A process that stood by for long is not taken for one that is stuck with its run."""
    process = JobProcess.start(WAITS)
    try:
        process.started -= 3600.0
        long_ago = process.started
        process.assign("trainingRuns/a")
        assert process.started > long_ago + 3000.0
    finally:
        process.kill()


async def test_news_and_the_end_are_heard() -> None:
    """What a process tells is passed on, and once more when it is gone."""
    process = JobProcess.start([sys.executable, "-c", RINGS])
    heard: asyncio.Queue[None] = asyncio.Queue()
    process.assign("trainingRuns/a")
    process.call_on_news(lambda: heard.put_nowait(None))
    async with asyncio.timeout(20):
        await heard.get()
        await heard.get()
    process.forget()
    process.kill()


def test_runs_that_follow_at_once_find_a_process() -> None:
    """Two stand by; what dies meanwhile is left out, and none is left at the end."""
    standby = Standby(WAITS, count=2, pause=0.0, leisure=0.0)
    for _ in range(3):
        standby.refill()
    first = standby.take("trainingRuns/a")
    second = standby.take("trainingRuns/b")
    third = standby.take("trainingRuns/c")
    assert len({process.job for process in (first, second, third)}) == 3
    standby.refill()
    standby.dismiss()
    for process in (first, second, third):
        process.kill()
        assert not process.is_alive()
