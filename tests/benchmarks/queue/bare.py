"""A server of the suite's kind with nothing to do: how long a call takes on this machine now."""

import asyncio
import sys

from common.testing.server import running_server


async def main() -> None:
    """Serves health until standard input ends."""
    async with running_server([]) as address:
        print(address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
