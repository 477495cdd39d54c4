"""What a run tells while the trainer, whose pool gives it its workers, is away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import create_autospec

import grpc
import pytest

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc
from common.artifacts.memory import MemoryStore
from common.runs import waiting
from services.trainer.coordinator.checkpoints import Checkpoints
from services.trainer.coordinator.conductor import Conductor
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.recruiter import Recruiter
from services.trainer.coordinator.rendezvous import Rendezvous


class Pool(agents_pb2_grpc.AgentPoolServiceServicer):
    """Answers each run once, and keeps its place."""

    async def Join(  # noqa: N802
        self, request_iterator: AsyncIterator[agents_pb2.JoinRequest], context: Any
    ) -> AsyncIterator[agents_pb2.Assignment]:
        """Has nothing for agents."""
        async for _ in request_iterator:
            yield agents_pb2.Assignment()

    async def Recruit(  # noqa: N802
        self, request_iterator: AsyncIterator[agents_pb2.RecruitRequest], context: Any
    ) -> AsyncIterator[agents_pb2.RecruitResponse]:
        """Answers a run."""
        yield agents_pb2.RecruitResponse(total_slots=2)
        async for _ in request_iterator:
            pass


async def _away_and_back(address: str, told: "asyncio.Queue[str]") -> list[str]:
    rendezvous = create_autospec(Rendezvous, instance=True)
    journal = create_autospec(Journal, instance=True)
    conductor = Conductor(rendezvous, journal, Checkpoints(MemoryStore()))
    request = agents_pb2.RecruitRequest(training_run="trainingRuns/t")
    recruiter = Recruiter(address, "token", request, conductor)
    recruiting = asyncio.create_task(recruiter.run())
    away = await told.get()
    server = grpc.aio.server()
    agents_pb2_grpc.add_AgentPoolServiceServicer_to_server(Pool(), server)
    server.add_insecure_port(address)
    await server.start()
    back = await told.get()
    recruiter.leave()
    await recruiting
    await server.stop(None)
    return [away, back]


def test_a_run_says_that_the_trainer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches a run that gets no workers hears why, once, and when that is over."""
    told: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(waiting, "_tell", told.put_nowait)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away, back = asyncio.run(asyncio.wait_for(_away_and_back(f"127.0.0.1:{port}", told), 30))
    assert away.startswith("The trainer does not answer")
    assert back.startswith("The trainer answers again")
    assert told.empty()
