"""Agents without torch: the real agent around a process that forks nothing.

`python -m tests.benchmarks.queue.agents COUNT`.
"""

import asyncio
import sys

from services.trainer.agent.agent import Agent
from services.trainer.agent.settings import AgentSettings


class NothingWarm:
    """Stands where the warm process does; ready at once."""

    is_ready = True

    async def run(self) -> None:
        """Lives for ever."""
        await asyncio.Event().wait()

    def look(self) -> None:
        """There is nothing to look after."""


async def main(count: int) -> None:
    """Runs so many agents of one slot."""
    agents = [Agent(AgentSettings(agent_id=f"agent-{number:02}")) for number in range(count)]
    for agent in agents:
        agent._warm = NothingWarm()  # type: ignore[assignment]
    await asyncio.gather(*(agent.run(asyncio.Event()) for agent in agents))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
