"""Many watchers of one run: `python -m common.testing.watchers ADDRESS TOKEN RUN COUNT`.

Writes a line once every one of them has had an event, and ends with its standard input.
"""

import asyncio
import sys

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from common.calls import client

_CONNECTIONS = 5


async def _watch(
    stub: trainer_pb2_grpc.TrainingServiceStub, run: str, heard: asyncio.Event
) -> None:
    request = trainer_pb2.WatchTrainingRunRequest(name=run)
    async for event in stub.WatchTrainingRun(request):  # type: ignore[attr-defined]
        if event.sequence:
            heard.set()


async def _main(address: str, token: str, run: str, count: int) -> None:
    channels = [client.connect(address, token) for _ in range(_CONNECTIONS)]
    stubs = [trainer_pb2_grpc.TrainingServiceStub(channel) for channel in channels]
    heard = [asyncio.Event() for _ in range(count)]
    watches = [
        asyncio.create_task(_watch(stubs[number % _CONNECTIONS], run, event))
        for number, event in enumerate(heard)
    ]
    await asyncio.gather(*(event.wait() for event in heard))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for watch in watches:
        watch.cancel()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
