"""The supervisor with a real object store and stand-ins for the services."""

import asyncio
import io
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import minio
import psutil
import pytest

from common.local import processes
from common.local.child import Program, RestartPolicy
from common.local.home import Phase, SuiteHome, SuiteState
from common.local.plan import SuitePlan, inherited_environment
from common.local.ports import PortReservations
from common.local.readiness import answers_at
from common.local.store import BUCKET, Store, StoreMissingError, choose_store, find_weed
from common.local.supervisor import Supervisor
from common.services import SERVICE_PORTS
from common.testing.minio import MinioServer
from common.testing.processes import service_process

pytestmark = pytest.mark.slow

QUICK = RestartPolicy(
    first_delay=0.01, longest_delay=0.05, ready_timeout=30, ask_every=0.5, answer_timeout=2
)


@dataclass
class Bench:
    """A folder, an id and ports of one suite."""

    home: SuiteHome
    suite: str
    ports: PortReservations

    def store(self, environment: dict[str, str] | None = None) -> Store:
        base = inherited_environment(self.suite, self.home)
        return choose_store({**base, **(environment or {})}, self.home, self.ports)

    def program(self, name: str, script: str) -> Program:
        environment = inherited_environment(self.suite, self.home)
        return Program(name, ("/bin/sh", "-c", script), environment, at_once)

    def plan(self, store: Store, *services: Program) -> SuitePlan:
        agent = self.program("agent-1", IDLE)
        addresses = dict.fromkeys(SERVICE_PORTS, "")
        return SuitePlan(self.suite, store, services=services, agents=(agent,), addresses=addresses)

    def state(self) -> SuiteState:
        state = self.home.read_state()
        assert state is not None
        return state


IDLE = "exec sleep 600"


async def at_once(pid: int) -> bool:
    return True


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    home = SuiteHome(tmp_path / "home")
    home.create()
    with closing(PortReservations(tmp_path / "ports")) as ports:
        bench = Bench(home, uuid.uuid4().hex, ports)
        yield bench
        processes.end_suite_processes(bench.suite, grace=0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        # What is waited for are files and processes, which offer no event.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(bench: Bench, plan: SuitePlan) -> AsyncIterator[None]:
    supervisor = Supervisor(bench.home, plan, QUICK)
    task = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: bench.home.state_file.exists() and bench.state().phase is Phase.RUNNING)
        yield
    finally:
        supervisor.ask_to_stop()
        assert await task is Phase.STOPPED


def client(store: Store) -> minio.Minio:
    return minio.Minio(
        store.endpoint,
        access_key=store.environment["AIMASS_S3_ACCESS_KEY"],
        secret_key=store.environment["AIMASS_S3_SECRET_KEY"],
        secure=False,
        region=store.environment["AIMASS_S3_REGION"],
    )


def spawn_job(suite: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "AIMASS_SUITE": suite, "AIMASS_RUN": "trainingRuns/a"}
    return subprocess.Popen(["/bin/sh", "-c", IDLE], env=environment, start_new_session=True)


def put(store: Store, data: bytes) -> None:
    client(store).put_object(BUCKET, "a", io.BytesIO(data), len(data))


def get(store: Store) -> bytes:
    return bytes(client(store).get_object(BUCKET, "a").data)


def stores() -> list[str]:
    return ["minio", "seaweedfs"] if find_weed(os.environ) else ["minio"]


@pytest.mark.parametrize("kind", stores())
async def test_a_killed_store_comes_back_with_its_data_at_the_same_place(
    bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was acknowledged is lost when the store is killed, and its address stays."""
    if kind == "seaweedfs":
        monkeypatch.setattr("common.local.store.find_minio", lambda environment: None)
    store = bench.store()
    assert store.kind == kind
    async with running(bench, bench.plan(store)):
        await asyncio.to_thread(put, store, b"kept")
        first = bench.state().processes[0]
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: bench.state().processes[0].restarts == 1)
        await until(lambda: bench.state().processes[0].phase is Phase.RUNNING)
        assert bench.state().processes[0].address == first.address
        assert await asyncio.to_thread(get, store) == b"kept"


async def test_a_frozen_store_is_restarted_and_keeps_its_data(bench: Bench) -> None:
    """A store that takes connections and answers nothing is noticed and replaced."""
    store = bench.store()
    async with running(bench, bench.plan(store)):
        await asyncio.to_thread(put, store, b"kept")
        frozen = bench.state().processes[0]
        os.kill(frozen.pid, signal.SIGSTOP)
        await until(lambda: bench.state().processes[0].restarts == 1)
        await until(lambda: bench.state().processes[0].phase is Phase.RUNNING)
        assert not psutil.pid_exists(frozen.pid)
        assert await asyncio.to_thread(get, store) == b"kept"


@pytest.mark.timeout(60)
async def test_a_frozen_service_is_told_from_a_living_one(
    minio_server: MinioServer, tmp_path: Path
) -> None:
    """What the supervisor asks a service tells a stopped process from one that serves."""
    with service_process("catalog", minio_server, tmp_path) as service:
        answers = answers_at(await asyncio.to_thread(service.said, "catalog listens on "))
        assert await answers(20)
        service.process.send_signal(signal.SIGSTOP)
        assert not await answers(0.5)
        service.process.send_signal(signal.SIGCONT)
        assert await answers(20)


async def test_a_stop_leaves_nothing_behind(bench: Bench) -> None:
    """Services, agents, runs in sessions of their own and the store are gone after a stop."""
    store = bench.store()
    async with running(bench, bench.plan(store, bench.program("trainer", IDLE))):
        names = [each.name for each in bench.state().processes]
        assert names == ["store", "trainer", "agent-1"]
        job = spawn_job(bench.suite)
        pids = [job.pid, *(each.pid for each in bench.state().processes)]
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert processes.suite_processes(bench.suite) == []
    assert job.poll() is not None
    assert [each.phase for each in bench.state().processes] == [Phase.STOPPED] * 3


async def test_one_dying_service_does_not_take_the_others_along(bench: Bench) -> None:
    """A service that dies again and again is left with a message; the rest runs on."""
    dying = bench.program("trainer", "sleep 0.1; echo out of luck; exit 3")
    async with running(bench, bench.plan(bench.store(), dying, bench.program("catalog", IDLE))):
        await until(lambda: bench.state().processes[1].phase is Phase.FAILED)
        state = bench.state()
        assert "exited with code 3, 10 times in a row" in state.processes[1].message
        assert "out of luck" in state.processes[1].message
        assert [each.phase for each in state.processes[2:]] == [Phase.RUNNING] * 2


async def test_a_start_that_fails_is_undone(bench: Bench) -> None:
    """A suite is up as a whole or not at all, and says why not."""
    store = bench.store()

    async def never(pid: int) -> bool:
        return False

    broken = Program("catalog", ("/bin/sh", "-c", "echo no; exit 1"), os.environ, never)
    plan = bench.plan(store, broken)
    assert await Supervisor(bench.home, plan, QUICK).run() is Phase.FAILED
    state = bench.state()
    assert state.phase is Phase.FAILED
    assert state.message.startswith("catalog exited with code 1, 3 times in a row")
    assert processes.suite_processes(bench.suite) == []


async def test_a_stop_during_the_start_is_carried_out(bench: Bench) -> None:
    """SIGTERM while a service is still starting ends everything."""

    async def never(pid: int) -> bool:
        return False

    slow = Program("catalog", ("/bin/sh", "-c", IDLE), os.environ, never)
    supervisor = Supervisor(bench.home, bench.plan(bench.store(), slow), QUICK)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: bench.home.state_file.exists() and bench.state().processes[1].pid > 0)
    supervisor.ask_to_stop()
    assert await asyncio.wait_for(task, 20) is Phase.STOPPED
    assert processes.suite_processes(bench.suite) == []


async def test_store_of_somebody_else_is_used_as_it_is(bench: Bench) -> None:
    """With `AIMASS_S3_ENDPOINT` no store is started, and services get the given settings."""
    given = {"AIMASS_S3_ENDPOINT": "minio.example:9000", "AIMASS_S3_BUCKET": "theirs"}
    store = bench.store(given)
    assert (store.kind, store.program) == ("external", None)
    assert store.environment == given


def test_no_store_at_all_is_said_with_the_cures(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names every way to get one."""
    with pytest.raises(StoreMissingError, match="is not a program"):
        bench.store({"AIMASS_MINIO_BINARY": "/no/such/minio"})
    monkeypatch.setattr("common.local.store._find", lambda name, environment, folder: None)
    with pytest.raises(StoreMissingError, match="AIMASS_MINIO_BINARY"):
        bench.store({"AIMASS_MINIO_BINARY": ""})
