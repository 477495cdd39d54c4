"""Runs a worker agent: `python -m services.trainer.agent`."""

import asyncio
import signal

from common import telemetry
from common.config import ServerSettings
from common.tls import check_environment
from services.trainer.agent.agent import Agent
from services.trainer.agent.attachment import cancelled
from services.trainer.agent.health import serve_health
from services.trainer.agent.settings import AgentSettings


async def main() -> None:
    """Runs the agent until SIGTERM or SIGINT."""
    telemetry.configure("agent")
    check_environment()
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    agent = Agent(AgentSettings())
    health = asyncio.create_task(serve_health(ServerSettings(), agent.ready))
    await agent.run(leave)
    await cancelled(health)
    telemetry.flush()


if __name__ == "__main__":
    asyncio.run(main())
