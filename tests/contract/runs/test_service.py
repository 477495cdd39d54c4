"""The service of runs over the wire: a real server on a real store, and its clients."""

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import pytest

from aimass.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from aimass.type.v1 import event_pb2, run_pb2
from common.calls import client
from common.identity import Role
from common.runs.owner import RunOwner
from common.testing.run_server import RunServer, run_server
from common.testing.runs_contract import Run, Runs
from common.testing.sample_job import KIND
from common.testing.server import TOKENS, channel_to

_WATCHES = 500
_CALLS = 60
_LIMIT_SECONDS = 0.05
_PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def _stub(server: RunServer) -> AsyncIterator["trainer_pb2_grpc.TrainingServiceAsyncStub"]:
    async with channel_to(server.address) as channel:
        yield trainer_pb2_grpc.TrainingServiceStub(channel)


@contextmanager
def _owner(runs: Runs, name: str) -> Iterator[RunOwner[Run]]:
    owner = RunOwner.acquire(KIND, name, runs.store)
    try:
        yield owner
    finally:
        owner.abandon()


def _watch_request(name: str, after: int = 0) -> trainer_pb2.WatchTrainingRunRequest:
    return trainer_pb2.WatchTrainingRunRequest(name=name, after_sequence=after)


async def test_repeated_create_returns_the_same_run(runs: Runs) -> None:
    """Protects a client that did not hear the answer: asking again makes no second run."""
    request = trainer_pb2.CreateTrainingRunRequest(request_id=str(uuid.uuid4()))
    request.training_run.labels["team"] = "vision"
    async with run_server(runs) as server, _stub(server) as stub:
        created = await asyncio.gather(*(stub.CreateTrainingRun(request) for _ in range(8)))
        names = {run.name for run in created}
        assert len(names) == 1
        assert set(server.kicks.names) == names
        assert created[0].status.state == run_pb2.RUN_STATE_PENDING
        assert created[0].status.creator == Role.ADMIN.value
        request.training_run.labels["team"] = "speech"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateTrainingRun(request)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    listed = runs.records.list(KIND.collection, Run, filter="", page_size=10, page_token="")
    assert [run.name for run in listed.resources] == [created[0].name]


async def test_repeated_create_finds_the_run_after_a_restart(runs: Runs) -> None:
    """Protects the promise across replicas and restarts: it is kept by the store."""
    request = trainer_pb2.CreateTrainingRunRequest(request_id=str(uuid.uuid4()))
    answers = []
    for _ in range(2):
        async with run_server(runs) as server, _stub(server) as stub:
            answers.append(await stub.CreateTrainingRun(request))
    assert answers[0] == answers[1]


async def test_checking_stores_nothing(runs: Runs) -> None:
    """Protects `validate_only`: nothing is stored and nothing started."""
    request = trainer_pb2.CreateTrainingRunRequest(validate_only=True, training_run_id="checked")
    async with run_server(runs) as server, _stub(server) as stub:
        run = await stub.CreateTrainingRun(request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=run.name))
        assert server.kicks.names == []
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (trainer_pb2.CreateTrainingRunRequest(training_run_id="No"), "training_run_id: "),
        (
            trainer_pb2.CreateTrainingRunRequest(
                training_run=trainer_pb2.TrainingRun(labels={"": "x"})
            ),
            "training_run.labels: ",
        ),
    ],
)
async def test_what_is_wrong_is_named_as_in_the_request(
    runs: Runs, wrong: trainer_pb2.CreateTrainingRunRequest, field: str
) -> None:
    """Protects the path of a field, which one code makes for runs of all kinds."""
    async with run_server(runs) as server, _stub(server) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateTrainingRun(wrong)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith(field)


async def test_watch_resumes_after_lost_connections(runs: Runs) -> None:
    """Protects the watcher: however often its server goes away, no event is lost or told twice."""
    name = runs.create("watched")
    heard: list[event_pb2.Event] = []
    has_news = threading.Event()

    def follow(address: str) -> None:
        with client.connect_sync(address, TOKENS[Role.VIEWER]) as channel:
            stub = trainer_pb2_grpc.TrainingServiceStub(channel)
            for event in client.watch(stub.WatchTrainingRun, _watch_request(name)):
                heard.append(event)
                has_news.set()

    with _owner(runs, name) as owner:
        port = 0
        watcher: asyncio.Task[None] | None = None
        for life in range(4):
            async with run_server(runs, port) as server:
                port = int(server.address.rpartition(":")[2])
                if watcher is None:
                    watcher = asyncio.create_task(asyncio.to_thread(follow, server.address))
                has_news.clear()
                owner.log(f"life {life}")
                assert await asyncio.to_thread(has_news.wait, _PATIENCE_SECONDS)
            for number in range(5):
                owner.log(f"while the server is away, {number}")
        assert watcher is not None
        async with run_server(runs, port):
            owner.succeed()
            await watcher
    assert heard == runs.events(name)
    runs.check_history(name)
    assert heard[-1].state_change.state == run_pb2.RUN_STATE_SUCCEEDED


async def test_watch_outlives_the_deadline_of_its_calls(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose end is lost must not be waited for: the watch goes on in the next one."""
    monkeypatch.setattr(client, "_WATCH_SECONDS", 0.2)
    name = runs.create("long")

    def follow(address: str) -> list[event_pb2.Event]:
        with client.connect_sync(address, TOKENS[Role.VIEWER]) as channel:
            stub = trainer_pb2_grpc.TrainingServiceStub(channel)
            return list(client.watch(stub.WatchTrainingRun, _watch_request(name)))

    with _owner(runs, name) as owner:
        async with run_server(runs) as server:
            watcher = asyncio.create_task(asyncio.to_thread(follow, server.address))
            # Longer than one call: the length of the wait is what is tested.
            assert not (await asyncio.wait([watcher], timeout=1.0))[0]
            owner.succeed()
            assert await watcher == runs.events(name)


async def test_watch_from_any_number_is_the_rest(runs: Runs) -> None:
    """Protects resuming at every point, within and between segments, of a run that has ended."""
    name = runs.create("resumed")
    with _owner(runs, name) as owner:
        for size in (1, 3, 2):
            for number in range(size):
                owner.log(f"{number} of {size}")
            owner.flush()
        owner.succeed()
    events = runs.events(name)
    assert len(events) == 8
    async with run_server(runs) as server, _stub(server) as stub:
        for after in range(len(events) + 1):
            rest = [event async for event in stub.WatchTrainingRun(_watch_request(name, after))]
            assert rest == events[after:]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.WatchTrainingRun(_watch_request(name, len(events) + 1)).read()
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


async def test_idle_watch_has_a_heartbeat(runs: Runs) -> None:
    """Protects long watches from proxies that cut silent connections; heartbeats take no number."""
    name = runs.create("idle")
    with _owner(runs, name) as owner:
        owner.flush()
        async with run_server(runs, heartbeat=0.2) as server, _stub(server) as stub:
            watch = stub.WatchTrainingRun(_watch_request(name))
            events = [await anext(aiter(watch)) for _ in range(3)]
            watch.cancel()
    assert [event.WhichOneof("kind") for event in events] == [
        "state_change",
        "heartbeat",
        "heartbeat",
    ]
    assert [event.sequence for event in events] == [1, 0, 0]
    assert events[-1].heartbeat.last_sequence == 1


async def test_waiting_run_is_cancelled_at_once(runs: Runs) -> None:
    """Protects the cancel of a run that nobody has begun: no process is needed, watchers hear."""
    name = runs.create("waiting")
    async with run_server(runs) as server, _stub(server) as stub:
        run = await stub.CancelTrainingRun(trainer_pb2.CancelTrainingRunRequest(name=name))
        events = [event async for event in stub.WatchTrainingRun(_watch_request(name))]
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED
    assert [event.state_change.state for event in events] == [run_pb2.RUN_STATE_CANCELLED]


async def test_many_watches_leave_calls_quick(runs: Runs) -> None:
    """Protects everybody else from watchers: with 500 of them on a busy run, Get is quick."""
    name = runs.create("popular")
    with _owner(runs, name) as owner:
        async with run_server(runs) as server, _stub(server) as stub, _watchers(server, name):
            times = []
            for step in range(_CALLS):
                if step % 4 == 0:
                    owner.metrics({"loss": 1.0}, step=step)
                times.append(await _time_of_get(stub, name))
                await asyncio.sleep(0.05)
    times.sort()
    assert times[_CALLS // 2] < _LIMIT_SECONDS, times


@asynccontextmanager
async def _watchers(server: RunServer, name: str) -> AsyncIterator[None]:
    arguments = (server.address, TOKENS[Role.VIEWER], name, str(_WATCHES))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "common.testing.watchers", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield
        assert process.returncode is None, "all of them still watch"
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


async def _time_of_get(stub: "trainer_pb2_grpc.TrainingServiceAsyncStub", name: str) -> float:
    began = time.perf_counter()
    await stub.GetTrainingRun(trainer_pb2.GetTrainingRunRequest(name=name))
    return time.perf_counter() - began
