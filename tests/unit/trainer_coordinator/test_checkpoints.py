"""Which checkpoints stay in the store, and which one a take-over finds."""

import asyncio

from aimass.trainer.v1 import agents_pb2
from common.artifacts.memory import MemoryStore
from services.trainer.coordinator.checkpoints import Checkpoints

RUN = "trainingRuns/a"


def key(attempt: int, step: int) -> str:
    """Key of a checkpoint, as workers name it."""
    return f"runs/{RUN}/attempts/{attempt}/checkpoints/{step:012}.safetensors"


async def test_two_newest_stay() -> None:
    """Older checkpoints are deleted when a newer one is published."""
    store = MemoryStore()
    checkpoints = Checkpoints(store)
    for step in (10, 20, 30):
        store.write(key(1, step), b"x")
        commit = agents_pb2.Commit(step=step, epoch=1)
        checkpoints.note(agents_pb2.CheckpointPublished(commit=commit, key=key(1, step)))
    assert checkpoints.newest == (30, key(1, 30))
    async with asyncio.timeout(5):
        while len(list(store.list(""))) > 2:  # noqa: ASYNC110 - a thread deletes it
            await asyncio.sleep(0.01)
    assert [info.key for info in store.list("")] == [key(1, 20), key(1, 30)]


def test_take_over_finds_the_newest_of_all_attempts() -> None:
    """What earlier attempts published is found, whatever else they put out."""
    store = MemoryStore()
    for name in (key(1, 30), key(2, 20), f"runs/{RUN}/attempts/2/job.json"):
        store.write(name, b"x")
    checkpoints = Checkpoints(store)
    assert checkpoints.newest == (-1, "")
    checkpoints.find(RUN)
    assert checkpoints.newest == (30, key(1, 30))
