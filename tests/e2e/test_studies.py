"""Studies on real processes and a real store: replicas are killed, the store goes away."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from aimass.tuner.v1 import study_pb2, study_pb2_grpc, tuner_pb2
from common.calls.client import connect
from common.testing.minio import MinioServer
from common.testing.processes import ServiceProcess, service_process

pytestmark = pytest.mark.slow

STUDY = "studies/s"
CLIENTS = 50
AWAY_SECONDS = 20.0
PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A MinIO of this file's own, to be stopped."""
    server = MinioServer(tmp_path_factory.mktemp("store"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def replicas(store: MinioServer, tmp_path: Path) -> Iterator[list[ServiceProcess]]:
    """Two tuners on one bucket."""
    bucket = {"AIMASS_S3_BUCKET": store.new_store().bucket, "AIMASS_TUNER_WARM": "false"}
    with ExitStack() as stack:
        running = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            service = service_process("tuner", store, tmp_path / name, bucket)
            running.append(stack.enter_context(service))
        yield running


@asynccontextmanager
async def stubs(replicas: list[ServiceProcess]) -> AsyncIterator[list[Any]]:
    """Yields a stub of each replica."""
    addresses = [each.said("tuner listens on ") for each in replicas]
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(connect(each, "t")) for each in addresses]
        yield [study_pb2_grpc.StudyServiceStub(channel) for channel in channels]


def creation(trials: int, lease: int = 3) -> study_pb2.CreateStudyRequest:
    spec = study_pb2.StudySpec(
        objectives=[study_pb2.StudyObjective(name="loss")], max_trials=trials
    )
    spec.parameters.add(name="x", number=study_pb2.NumberRange(low=-5, high=5))
    values = [tuner_pb2.Setting(text=text) for text in "abc"]
    spec.parameters.add(name="kind", choice=study_pb2.ChoiceRange(values=values))
    spec.lease_duration.FromSeconds(lease)
    return study_pb2.CreateStudyRequest(study=study_pb2.Study(spec=spec), study_id="s")


class Given:
    """Trials that were given out.

    Attributes:
        trials: Name and attempt of each.
        enough: Set once there are so many.
    """

    def __init__(self, wanted: int = 0) -> None:
        self.trials: list[tuple[str, int]] = []
        self.enough = asyncio.Event()
        self._wanted = wanted

    def add(self, trial: study_pb2.Trial) -> None:
        self.trials.append((trial.name, trial.attempt))
        if len(self.trials) >= self._wanted:
            self.enough.set()


class Client:
    """Works on trials until there are none, with whichever replica answers."""

    def __init__(self, stubs: list[Any], number: int) -> None:
        self.stubs = stubs
        self.number = number
        self.told: dict[str, float] = {}

    async def work(self, given: Given, seconds: float = 0.0) -> None:
        while True:
            answer = await self.call("AskTrials", study_pb2.AskTrialsRequest(parent=STUDY))
            if answer.done:
                return
            if not answer.trials:
                await asyncio.sleep(min(answer.retry_after.ToTimedelta().total_seconds(), 1.0))
            for trial in answer.trials:
                given.add(trial)
                await asyncio.sleep(seconds)
                await self.tell(trial)

    async def tell(self, trial: study_pb2.Trial) -> None:
        loss = trial.settings["x"].number ** 2 + (trial.settings["kind"].text != "b")
        request = study_pb2.TellTrialRequest(
            name=trial.name, values={"loss": loss}, attempt=trial.attempt
        )
        try:
            await self.call("TellTrial", request)
            await self.call("TellTrial", request)  # again, as after a lost answer
        except grpc.aio.AioRpcError as error:
            # It took longer than the lease while nobody answered, and somebody else has it.
            assert error.code() is grpc.StatusCode.ABORTED, error
        else:
            self.told[trial.name] = loss

    async def call(self, method: str, request: Any) -> Any:
        deadline = time.monotonic() + 90
        while True:
            stub = self.stubs[self.number % len(self.stubs)]
            try:
                return await getattr(stub, method)(request, timeout=15)
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING or time.monotonic() > deadline:
                    raise
            self.number += 1
            await asyncio.sleep(0.1)


async def all_trials(client: Client) -> list[study_pb2.Trial]:
    request = study_pb2.ListTrialsRequest(parent=STUDY, page_size=1000)
    return list((await client.call("ListTrials", request)).trials)


@pytest.mark.timeout(180)
async def test_fifty_clients_and_a_replica_that_is_killed(replicas: list[ServiceProcess]) -> None:
    """No trial is given to two clients, nothing that was told is lost, all are told in the end."""
    async with stubs(replicas) as found:
        clients = [Client(found, number) for number in range(CLIENTS)]
        await clients[0].call("CreateStudy", creation(trials=200))
        given = Given(100)

        async def kill() -> None:
            await given.enough.wait()
            os.kill(replicas[0].process.pid, signal.SIGKILL)

        await asyncio.gather(kill(), *(client.work(given) for client in clients))
        trials = await all_trials(clients[1])
    assert len(given.trials) == len(set(given.trials))
    assert len(trials) == 200
    assert {each.state for each in trials} == {study_pb2.TRIAL_STATE_COMPLETED}
    settings = {(each.settings["x"].number, each.settings["kind"].text) for each in trials}
    assert len(settings) == 200
    losses = {each.name: each.values["loss"] for each in trials}
    for client in clients:
        assert client.told.items() <= losses.items()


@pytest.mark.timeout(120)
async def test_a_trial_whose_client_is_gone_comes_back(replicas: list[ServiceProcess]) -> None:
    """Also from the other replica, once its lease of a second has ended."""
    async with stubs(replicas) as found:
        one, other = Client(found[:1], 0), Client(found[1:], 0)
        await one.call("CreateStudy", creation(trials=1, lease=1))
        ask = study_pb2.AskTrialsRequest(parent=STUDY)
        (lost,) = (await one.call("AskTrials", ask)).trials
        given = Given()
        await other.work(given)
    assert given.trials == [(lost.name, 2)]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_store_is_gone_for_a_while(
    replicas: list[ServiceProcess], store: MinioServer
) -> None:
    """Callers are told soon that nobody can answer, and go on once it is back: nothing is lost."""
    async with stubs(replicas) as found:
        clients = [Client(found, number) for number in range(8)]
        await clients[0].call("CreateStudy", creation(trials=120, lease=60))
        given = Given(40)

        async def outage() -> None:
            await given.enough.wait()
            store.stop()
            await asyncio.sleep(AWAY_SECONDS)
            store.start()

        await asyncio.gather(outage(), *(client.work(given, 0.05) for client in clients))
        trials = await all_trials(clients[0])
    assert len(given.trials) == len(set(given.trials))
    assert {each.state for each in trials} == {study_pb2.TRIAL_STATE_COMPLETED}
    assert sum(len(client.told) for client in clients) == len(trials) == 120
