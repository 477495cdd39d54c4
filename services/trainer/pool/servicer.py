"""AgentPoolService: agents join, coordinators recruit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import grpc

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc
from common.errors import InvalidFieldError, UnavailableError
from services.trainer.pool.allocation import Demand
from services.trainer.pool.checks import check_demand, check_place
from services.trainer.pool.holding import Holding
from services.trainer.pool.hub import PoolHub

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class AgentPoolServicer(agents_pb2_grpc.AgentPoolServiceServicer):
    """Answers for the pool while this replica holds it."""

    def __init__(
        self,
        hub: PoolHub,
        holding: Holding,
        hear_answer: Callable[[agents_pb2.FaultAnswer], None] = lambda answer: None,
    ) -> None:
        self._hub = hub
        self._holding = holding
        self._hear_answer = hear_answer

    async def Join(
        self,
        request_iterator: AsyncIterator[agents_pb2.JoinRequest],
        context: grpc.aio.ServicerContext[agents_pb2.JoinRequest, agents_pb2.Assignment],
    ) -> AsyncIterator[agents_pb2.Assignment]:
        """Keeps an agent in the pool as long as its stream is open."""
        self._require_pool()
        first = await anext(request_iterator, None)
        if first is None:
            raise InvalidFieldError("agent", "The first message says who joins.")
        check_place(first)

        def hear(place: agents_pb2.JoinRequest) -> None:
            check_place(place)
            if place.agent.id != first.agent.id:
                raise InvalidFieldError("agent.id", "must stay the same within a stream")
            self._hub.hear(place)

        with self._hub.agent_stream(first) as queue:
            async for assignment in _answer(queue, request_iterator, hear):
                yield assignment

    async def Recruit(
        self,
        request_iterator: AsyncIterator[agents_pb2.RecruitRequest],
        context: grpc.aio.ServicerContext[agents_pb2.RecruitRequest, agents_pb2.RecruitResponse],
    ) -> AsyncIterator[agents_pb2.RecruitResponse]:
        """Keeps a run's place in the pool as long as its stream is open."""
        self._require_pool()
        first = await anext(request_iterator, None)
        if first is None:
            raise InvalidFieldError("training_run", "The first message says what the run needs.")
        check_demand(first)
        with self._hub.run_stream(demand_of(first)) as queue:

            def hear(message: agents_pb2.RecruitRequest) -> None:
                self._hear_answer(message.fault_answer)

            async for roster in _answer(queue, request_iterator, hear):
                yield roster

    def _require_pool(self) -> None:
        holder = self._holding.holder()
        if holder:
            raise UnavailableError(f"The pool is held by another replica: {holder}. Dial again.")


def demand_of(request: agents_pb2.RecruitRequest) -> Demand:
    """Returns a recruiting message as the pool's demand."""
    return Demand(
        run=request.training_run,
        attempt=request.attempt,
        address=request.coordinator_address,
        token=request.token,
        min=request.workers.min,
        wanted=request.workers.wanted,
        max=request.workers.max,
        priority=request.priority,
        created=request.priority_time_ns,
    )


async def _answer(
    queue: "asyncio.Queue[_Response | None]",
    requests: AsyncIterator[_Request],
    hear: Callable[[_Request], None],
) -> AsyncIterator[_Response]:
    """Yields what the queue holds while the other side's messages are heard, until either ends."""

    async def listen() -> None:
        try:
            async for request in requests:
                hear(request)
        finally:
            queue.put_nowait(None)

    listener = asyncio.create_task(listen())
    try:
        while (response := await queue.get()) is not None:
            yield response
        if listener.done():
            listener.result()  # raises what was wrong with a message
    finally:
        listener.cancel()
