"""A service that asks another: who asked stays visible and is allowed no more; who is away."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping

import grpc
import pytest

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc, trainer_pb2, trainer_pb2_grpc
from common.calls import client
from common.identity import ON_BEHALF_OF, Caller, Role, caller
from common.serving.server import Service
from common.telemetry import JsonFormatter
from common.testing.server import TOKENS, channel_to, running_server

TRAINING = "aimass.trainer.v1.TrainingService"
GET = f"/{TRAINING}/GetTrainingRun"
ALICE = Caller("alice@example.com", Role.EDITOR)
DENIED = grpc.StatusCode.PERMISSION_DENIED
Metadata = tuple[tuple[str, str], ...]


class Servicer(trainer_pb2_grpc.TrainingServiceServicer):
    """Says who called; a run that is an address is asked for there, as a service asks another."""

    async def GetTrainingRun(  # noqa: N802
        self, request: trainer_pb2.GetTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Returns a run named like the caller."""
        if request.name:
            async with client.connect(request.name, TOKENS[Role.SERVICE]) as channel:
                stub = trainer_pb2_grpc.TrainingServiceStub(channel)
                return await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest())
        return trainer_pb2.TrainingRun(name=caller().header)

    async def CreateTrainingRun(  # noqa: N802
        self, request: trainer_pb2.CreateTrainingRunRequest, context: object
    ) -> trainer_pb2.TrainingRun:
        """Accepts anything."""
        return trainer_pb2.TrainingRun(name=caller().header)

    async def InjectFault(  # noqa: N802
        self, request: trainer_pb2.InjectFaultRequest, context: object
    ) -> trainer_pb2.InjectFaultResponse:
        """Injects nothing."""
        return trainer_pb2.InjectFaultResponse()


class Agents(agents_pb2_grpc.AgentPoolServiceServicer):
    """Takes everybody in."""

    async def Recruit(  # noqa: N802
        self, requests: AsyncIterator[agents_pb2.RecruitRequest], context: object
    ) -> AsyncIterator[agents_pb2.RecruitResponse]:
        """Gives nothing."""
        yield agents_pb2.RecruitResponse()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Serves both."""
    training, agents = Servicer(), Agents()  # type: ignore[abstract]
    services = [
        Service(
            TRAINING,
            lambda server: trainer_pb2_grpc.add_TrainingServiceServicer_to_server(training, server),
        ),
        Service(
            "aimass.trainer.v1.AgentPoolService",
            lambda server: agents_pb2_grpc.add_AgentPoolServiceServicer_to_server(agents, server),
        ),
    ]
    async with running_server(services) as served:
        yield served


def behalf(who: Caller) -> Metadata:
    """Returns what a service sends that asks for somebody."""
    return ((ON_BEHALF_OF, who.header),)


class AuditLog(logging.Handler):
    """What the server logs of its calls, which may be after the caller has its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("trainer"))
        self._lines: list[Mapping[str, object]] = []
        self._written = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a line."""
        self._lines.append(json.loads(self.format(record)))
        self._written.set()

    async def of(self, method: str, count: int) -> list[Mapping[str, object]]:
        """Waits for so many lines of a method. Returns them."""
        while len(found := [each for each in self._lines if each.get("method") == method]) < count:
            self._written.clear()
            await asyncio.wait_for(self._written.wait(), 20)
        return found


@pytest.fixture
def log() -> Iterator[AuditLog]:
    """The log of the server."""
    written = AuditLog()
    logger = logging.getLogger("common.serving.interceptors.logs")
    former = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(written)
    yield written
    logger.removeHandler(written)
    logger.setLevel(former)


async def test_the_called_service_logs_who_asked(address: str, log: AuditLog) -> None:
    """The log names the person and the service that stands between, also over two services."""
    async with channel_to(address, Role.EDITOR) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        answer = await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=address))
    assert answer.name == "editor:editor"
    behind, first = await log.of(GET, 2)
    assert first["subject"] == "editor" and "on_behalf_of" not in first
    assert (behind["subject"], behind["on_behalf_of"]) == ("service", "editor")
    assert behind["trace_id"] == first["trace_id"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.AGENT])
async def test_nobody_but_a_service_asks_for_others(
    address: str, role: Role, log: AuditLog
) -> None:
    """A person who could would write what others are blamed for."""
    async with channel_to(address, role) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(), metadata=behalf(ALICE))
    assert caught.value.code() is DENIED
    assert "only a service may ask for others" in (caught.value.details() or "")
    assert [each["subject"] for each in await log.of(GET, 1)] == [role.value]


async def test_who_may_not_may_not_by_way_of_a_service(address: str) -> None:
    """A viewer creates nothing and an admin's powers are no service's, whoever it asks for."""
    create, fault = trainer_pb2.CreateTrainingRunRequest(), trainer_pb2.InjectFaultRequest()
    async with channel_to(address, Role.SERVICE) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        made = await stub.CreateTrainingRun(create, metadata=behalf(ALICE))
        assert made.name == ALICE.header
        bob, root = Caller("bob", Role.VIEWER), Caller("root", Role.ADMIN)
        for who, call in (
            (bob, stub.CreateTrainingRun(create, metadata=behalf(bob))),
            (root, stub.InjectFault(fault, metadata=behalf(root))),
            (ALICE, stub.InjectFault(fault, metadata=behalf(ALICE))),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is DENIED, who
            assert who.subject in (caught.value.details() or "")


async def test_workers_are_found_for_anybody(address: str) -> None:
    """A run's process recruits workers as a service, and its creator stays visible."""
    async with channel_to(address, Role.SERVICE) as channel:
        stub = agents_pb2_grpc.AgentPoolServiceStub(channel)
        answers = stub.Recruit(iter([agents_pb2.RecruitRequest()]), metadata=behalf(ALICE))
        assert len([each async for each in answers]) == 1


async def test_a_service_that_is_away_is_named(address: str) -> None:
    """Who called the tuner and hears of an outage must know that the trainer is meant."""
    async with channel_to(address, Role.EDITOR) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTrainingRun(
                trainer_pb2.GetTrainingRunRequest(name="127.0.0.1:1"), timeout=20
            )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "needs the trainer, which cannot be reached" in (caught.value.details() or "")


@pytest.mark.parametrize("header", ["alice", "king:alice", "editor:"])
async def test_half_a_name_is_refused(address: str, header: str) -> None:
    """The message says what the metadata must be."""
    async with channel_to(address, Role.SERVICE) as channel:
        stub = trainer_pb2_grpc.TrainingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTrainingRun(
                trainer_pb2.GetTrainingRunRequest(), metadata=((ON_BEHALF_OF, header),)
            )
    assert caught.value.code() is DENIED
    assert "editor:alice%40example.com" in (caught.value.details() or "")
