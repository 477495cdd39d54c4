"""A pool, agents and a conducted toy run, all of production classes, on this machine."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc, trainer_pb2
from aimass.type.v1 import event_pb2
from common.artifacts.memory import MemoryStore
from common.config import ServerSettings
from common.identity import Role
from common.runs.events import EventKind
from common.serving.server import RunningServer, Service, start_server
from common.testing.server import TOKENS, token_table
from services.trainer.coordinator.checkpoints import Checkpoints
from services.trainer.coordinator.conductor import Conductor
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.keys import WorkerKeys
from services.trainer.coordinator.rendezvous import Rendezvous
from services.trainer.coordinator.session import conduct
from services.trainer.coordinator.settings import CoordinatorSettings
from services.trainer.pool.hub import PoolHub
from services.trainer.pool.servicer import AgentPoolServicer
from tests.chaos.toy import ToyJob
from tests.support.holding import AlwaysHolding

ROOT = Path(__file__).parents[2]
_POOL = "aimass.trainer.v1.AgentPoolService"


@dataclass
class Record:
    """A run's log that keeps what it is told, with the time of each event."""

    events: list[tuple[float, EventKind]] = field(default_factory=list)
    steps: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, kind: EventKind) -> None:
        """Keeps an event."""
        self.events.append((time.monotonic(), kind))
        self._changed.set()

    def progress(
        self, fraction: float, stage: str = "", message: str = "", remaining: float | None = None
    ) -> None:
        """Keeps the newest step."""
        if stage == "training":
            self.steps = int(message.split()[1])
        self._changed.set()

    @property
    def memberships(self) -> list[event_pb2.MembershipChange]:
        """The changes of membership."""
        return [kind for _, kind in self.events if isinstance(kind, event_pb2.MembershipChange)]

    @property
    def worlds(self) -> list[event_pb2.MembershipChange]:
        """The changes to a new world; on a busy host a run says before that it waits."""
        return [each for each in self.memberships if each.workers]

    @property
    def lines(self) -> list[str]:
        """The log lines."""
        return [kind.text for _, kind in self.events if isinstance(kind, event_pb2.LogLine)]

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Waits until a condition holds. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_steps(self, count: int, seconds: float = 60.0) -> None:
        """Waits for so many more steps."""
        goal = self.steps + count
        await self.until(lambda: self.steps >= goal, seconds)

    async def until_workers(self, count: int, seconds: float = 60.0) -> event_pb2.MembershipChange:
        """Waits until the newest membership has so many workers, and returns it."""
        await self.until(
            lambda: bool(self.memberships) and self.memberships[-1].workers == count, seconds
        )
        return self.memberships[-1]


class AgentProcess:
    """A worker agent as a process of its own."""

    def __init__(
        self, agent_id: str, environment: dict[str, str], within: Sequence[str] = ()
    ) -> None:
        self.id = agent_id
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", "services.trainer.agent"],
            env={**os.environ, **environment, "AIMASS_AGENT_ID": agent_id},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        """Process id of the agent."""
        return self._process.pid

    def warm(self) -> psutil.Process:
        """Returns its warm process."""
        (warm,) = psutil.Process(self.pid).children()
        return warm

    def workers(self) -> list[psutil.Process]:
        """Returns its workers."""
        found = psutil.Process(self.pid).children()
        return [worker for warm in found for worker in warm.children()]

    def send(self, number: signal.Signals) -> None:
        """Sends the agent a signal."""
        self._process.send_signal(number)

    async def wait(self, seconds: float = 15.0) -> int:
        """Waits for its end."""
        return await asyncio.to_thread(self._process.wait, seconds)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()


class Rig:
    """Agents around a pool."""

    def __init__(self, address: str = "", host: str = "127.0.0.1") -> None:
        self.address = address
        self.host = host
        self.hub = PoolHub()
        self._server: RunningServer | None = None
        self._ticking: asyncio.Task[None] | None = None
        self.suite = f"rig-{secrets.token_hex(4)}"
        self.agents: list[AgentProcess] = []

    def start_agent(
        self, agent_id: str, slots: int = 1, address: str = "", within: Sequence[str] = ()
    ) -> AgentProcess:
        """Starts an agent; it is of use once `until_ready` returns.

        Args:
            agent_id: Its id.
            slots: Workers it may run.
            address: Address by which others reach it, unless that is the rig's.
            within: Program that it is started by, for example one that enters a namespace.
        """
        environment = {
            "AIMASS_TRAINER_ADDRESS": self.address,
            "AIMASS_TOKEN": TOKENS[Role.AGENT],
            "AIMASS_AGENT_SLOTS": str(slots),
            "AIMASS_AGENT_WORKER_MODULE": "tests.chaos.toy",
            "AIMASS_SUITE": self.suite,
            "AIMASS_AGENT_ADDRESS": address or self.host,
        }
        agent = AgentProcess(agent_id, environment, within)
        self.agents.append(agent)
        return agent

    def agent(self, agent_id: str) -> AgentProcess:
        """Returns the newest process of an agent."""
        return next(agent for agent in reversed(self.agents) if agent.id == agent_id)

    def restart_agent(self, agent_id: str) -> AgentProcess:
        """Starts an agent that has ended once more."""
        self.agents.remove(self.agent(agent_id))
        return self.start_agent(agent_id)

    async def until_ready(self, *agent_ids: str, seconds: float = 100.0) -> None:
        """Waits until these agents have joined and can fork."""
        await self._until(agent_ids, lambda agent: agent.slots > 0, seconds)

    async def until_idle(self, *agent_ids: str, seconds: float = 100.0) -> None:
        """Waits until these agents can fork and work for nobody."""
        await self._until(
            agent_ids, lambda agent: agent.slots > 0 and not agent.training_run, seconds
        )

    async def _until(
        self,
        agent_ids: Sequence[str],
        condition: Callable[[trainer_pb2.Agent], bool],
        seconds: float,
    ) -> None:
        async with asyncio.timeout(seconds):
            # The pool tells nobody when an agent changes.
            while not set(agent_ids) <= {a.id for a in self.hub.agents() if condition(a)}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def start_pool(self) -> None:
        """Serves a new pool, which knows nobody, at the address of the one before."""
        self.hub = PoolHub()
        servicer = AgentPoolServicer(self.hub, AlwaysHolding())
        service = Service(
            _POOL,
            lambda server: agents_pb2_grpc.add_AgentPoolServiceServicer_to_server(servicer, server),
        )
        settings = ServerSettings(host=self.host, port=int(self.address.rpartition(":")[2] or 0))
        self._server = await start_server([service], settings, token_table())
        self.address = self._server.address
        self._ticking = asyncio.create_task(self.hub.run(AlwaysHolding()))

    async def stop_pool(self) -> None:
        """Ends the pool at once."""
        if self._server is not None and self._ticking is not None:
            self._ticking.cancel()
            await self._server.stop(0)

    @property
    def commits(self) -> Path:
        """Directory of all commits."""
        return Path("/dev/shm") / f"aimass-{self.suite}"

    async def train(
        self,
        record: Record,
        job: ToyJob,
        workers: trainer_pb2.WorkerRange,
        *,
        name: str = "trainingRuns/toy",
        attempt: int = 1,
        priority: trainer_pb2.Priority.ValueType = trainer_pb2.PRIORITY_NORMAL,
        keys: WorkerKeys | None = None,
        watch: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> agents_pb2.TrainingFinished:
        """Conducts a toy run, as a run's process does."""
        rendezvous = Rendezvous(self.host)
        conductor = Conductor(rendezvous, Journal(record, job.steps), Checkpoints(MemoryStore()))
        conductor.begin(job.key, keys=keys)
        spec = trainer_pb2.TrainingSpec(workers=workers, priority=priority)
        run = trainer_pb2.TrainingRun(name=name, spec=spec)
        run.status.create_time.GetCurrentTime()
        settings = CoordinatorSettings(
            trainer_address=self.address, token=TOKENS[Role.AGENT], coordinator_host=self.host
        )

        async def work() -> agents_pb2.TrainingFinished:
            finished = await conductor.train(CrewSize.of(workers))
            assert await conductor.build_package(finished.step) is not None
            return finished

        try:
            return await conduct(run, attempt, settings, conductor, work, watch or _for_ever)
        finally:
            rendezvous.close()


async def _for_ever() -> None:
    await asyncio.Event().wait()


def worker_range(
    least: int, wanted: int, most: int | None = None, wait_seconds: float = 60.0
) -> trainer_pb2.WorkerRange:
    """Returns a range in which everything is set."""
    workers = trainer_pb2.WorkerRange(min=least, wanted=wanted, max=most or wanted)
    workers.wait_timeout.FromMilliseconds(round(wait_seconds * 1000))
    return workers


@asynccontextmanager
async def coordinator_process(rig: Rig, run: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Conducts a run in a process of its own, which is killed at the end at the latest.

    Yields:
        The process, when the run has done its first steps.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.chaos.coordinator", rig.address, run),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"training\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def running_rig(host: str = "127.0.0.1") -> AsyncIterator[Rig]:
    """Serves a pool at an address of this host; ends all agents at the end."""
    rig = Rig(host=host)
    await rig.start_pool()
    try:
        yield rig
    finally:
        for agent in rig.agents:
            agent.kill()
        await rig.stop_pool()
        shutil.rmtree(rig.commits, ignore_errors=True)
