"""A real server on a free port, for tests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc

from common.calls import client
from common.config import ServerSettings
from common.identity import Caller, Role
from common.serving.interceptors import TokenTable
from common.serving.server import Service, start_server

TOKENS = {role: f"test-token-of-{role.value}" for role in Role}


def token_table() -> TokenTable:
    """Returns a table with one token a role."""
    return TokenTable({token: Caller(role.value, role) for role, token in TOKENS.items()})


@asynccontextmanager
async def running_server(services: Sequence[Service], port: int = 0) -> AsyncIterator[str]:
    """Serves on the loopback interface.

    Args:
        services: What to serve.
        port: The port; 0 takes a free one.

    Yields:
        `host:port`. Tokens are in `TOKENS`.
    """
    settings = ServerSettings(host="127.0.0.1", port=port, drain_seconds=0)
    server = await start_server(services, settings, token_table())
    try:
        yield server.address
    finally:
        await server.stop(0)


@asynccontextmanager
async def channel_to(address: str, role: Role = Role.ADMIN) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel that shows the token of a role."""
    async with client.connect(address, TOKENS[role]) as channel:
        yield channel
