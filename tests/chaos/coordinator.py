"""A coordinator as a process of its own, to be killed: conducts a toy run until then.

`python -m tests.chaos.coordinator ADDRESS RUN`; prints a line for each change of membership.
"""

import asyncio
import sys

from tests.chaos.rig import Record, Rig, worker_range
from tests.chaos.toy import ToyJob


async def conduct(address: str, run: str) -> None:
    """Conducts a run on two workers, and says when each world has finished its first step."""
    record = Record()
    rig = Rig(address)
    training = asyncio.create_task(rig.train(record, ToyJob(), worker_range(1, 2), name=run))
    await record.until_steps(20)
    print("training", flush=True)
    await training


if __name__ == "__main__":
    asyncio.run(conduct(sys.argv[1], sys.argv[2]))
