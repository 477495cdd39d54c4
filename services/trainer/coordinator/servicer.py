"""WorkerControlService: agents attach to the run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc
from common.config import ServerSettings
from common.errors import InvalidFieldError
from common.identity import Caller, Role
from common.serving.interceptors import TokenTable
from common.serving.server import RunningServer, Service, start_server
from services.trainer.coordinator.members import Member, Members

_SERVICE = "aimass.trainer.v1.WorkerControlService"
_Context = grpc.aio.ServicerContext[agents_pb2.AttachRequest, agents_pb2.Order]


class WorkerControlServicer(agents_pb2_grpc.WorkerControlServiceServicer):
    """One stream for each agent: what it says goes to the members, orders come from there."""

    def __init__(self, members: Members) -> None:
        self._members = members

    async def Attach(
        self, request_iterator: AsyncIterator[agents_pb2.AttachRequest], context: _Context
    ) -> AsyncIterator[agents_pb2.Order]:
        """Takes an agent in until its stream ends or the run lets it go."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("kind") != "attached":
            raise InvalidFieldError("attached", "The first message says who attaches.")
        member = self._members.attach(first.attached)
        listener = asyncio.create_task(self._listen(member, request_iterator))
        try:
            while (order := await member.orders.get()) is not None:
                yield order
        finally:
            listener.cancel()
            self._members.detach(member)

    async def _listen(
        self, member: Member, requests: AsyncIterator[agents_pb2.AttachRequest]
    ) -> None:
        try:
            async for request in requests:
                self._members.hear(member, request)
        finally:
            with contextlib.suppress(asyncio.QueueFull):
                member.orders.put_nowait(None)


async def serve_control(members: Members, host: str, run: str, token: str) -> RunningServer:
    """Serves a run's WorkerControlService on a free port.

    Args:
        members: Takes the agents in.
        host: Address to listen on.
        run: Resource name of the run.
        token: What agents must show.
    """

    def register(server: grpc.aio.Server) -> None:
        agents_pb2_grpc.add_WorkerControlServiceServicer_to_server(
            WorkerControlServicer(members), server
        )

    tokens = TokenTable({token: Caller(f"agents of {run}", Role.AGENT)})
    settings = ServerSettings(host=host, port=0, token_file=None, reflection=False)
    return await start_server([Service(_SERVICE, register)], settings, tokens)
