"""The agent's health service, for probes of a platform; agents serve nothing else."""

import asyncio

from common.config import ServerSettings
from common.serving.interceptors import TokenTable
from common.serving.server import start_server


async def serve_health(settings: ServerSettings, ready: asyncio.Event) -> None:
    """Serves gRPC health from the moment that the agent is ready, until cancelled.

    The trainer's absence does not count: a platform must not restart agents that work for a run.

    Args:
        settings: Where to listen; without a port nothing is served.
        ready: Set once the agent can fork workers.
    """
    if not settings.port:
        return
    await ready.wait()
    server = await start_server([], settings, TokenTable({}))
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop(0)
