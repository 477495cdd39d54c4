"""Asks the trainer's pool for agents, for as long as the run needs them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import grpc

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc
from common.calls import client
from common.errors import FencedError
from common.runs import waiting
from services.trainer.coordinator.conductor import Conductor

_log = logging.getLogger(__name__)
_REDIAL_SECONDS = 0.2
_TOLD_FAILURES = 3  # the first is how a restart is noticed: it is over in a second


class Recruiter:
    """Holds the run's place in the pool; dials again while the trainer is away."""

    def __init__(
        self, address: str, token: str, request: agents_pb2.RecruitRequest, conductor: Conductor
    ) -> None:
        """Prepares; `run` does the work.

        Args:
            address: Address of the trainer.
            token: Bearer token with the agent role.
            request: What the run needs.
            conductor: Hears which agents the pool wants back, and which faults admins want.
        """
        self._address = address
        self._token = token
        self._request = request
        self._conductor = conductor
        self._is_over = asyncio.Event()
        self._failures = 0

    def leave(self) -> None:
        """Gives the run's place up; `run` returns when the pool knows."""
        self._is_over.set()

    async def run(self) -> None:
        """Recruits until told to leave.

        Raises:
            FencedError: The pool knows a newer attempt of the run.
        """
        async with client.connect(self._address, self._token) as channel:
            stub = agents_pb2_grpc.AgentPoolServiceStub(channel)
            while not self._is_over.is_set():
                await self._recruit(stub)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._is_over.wait(), _REDIAL_SECONDS)

    async def _recruit(self, stub: "agents_pb2_grpc.AgentPoolServiceAsyncStub") -> None:
        answers: asyncio.Queue[agents_pb2.FaultAnswer | None] = asyncio.Queue()
        leaving = asyncio.create_task(self._end(answers))
        try:
            async for response in stub.Recruit(self._requests(answers)):
                self._note_answer()
                if response.HasField("fault"):
                    answers.put_nowait(self._conductor.inject(response.fault))
                else:
                    place = response.queue if response.HasField("queue") else None
                    self._conductor.queue_place = place
                    self._conductor.members.want_back(response.wanted_back)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                raise FencedError(error.details() or "A newer attempt recruits.") from None
            # The run goes on with the agents it has.
            _log.info("no pool: %s %s", error.code().name, error.details())
            self._note_failure()
        finally:
            leaving.cancel()
        self._conductor.queue_place = None
        self._conductor.members.want_back(())

    def _note_failure(self) -> None:
        self._failures += 1
        if self._failures == _TOLD_FAILURES:
            waiting.told(
                "The trainer does not answer: until it does, no worker is added to this run, which "
                "waits where it has too few."
            )

    def _note_answer(self) -> None:
        if self._failures >= _TOLD_FAILURES:
            waiting.told("The trainer answers again: it can add workers to this run.")
        self._failures = 0

    async def _end(self, answers: "asyncio.Queue[agents_pb2.FaultAnswer | None]") -> None:
        await self._is_over.wait()
        answers.put_nowait(None)

    async def _requests(
        self, answers: "asyncio.Queue[agents_pb2.FaultAnswer | None]"
    ) -> AsyncIterator[agents_pb2.RecruitRequest]:
        yield self._request
        # The place is held as long as the stream is open.
        while (answer := await answers.get()) is not None:
            yield agents_pb2.RecruitRequest(fault_answer=answer)
