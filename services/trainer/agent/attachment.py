"""An agent's work for one attempt of a run: the conversation with its coordinator."""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc, trainer_pb2
from common import telemetry
from common.calls import client
from services.trainer.agent import faults, orders
from services.trainer.agent.link import Link
from services.trainer.agent.settings import AgentSettings, interface_of
from services.trainer.agent.warm import WarmProcess
from services.trainer.agent.world import LocalWorld
from services.trainer.worker.commits import read_commit
from services.trainer.worker.process import WorkerOrder

_log = logging.getLogger(__name__)
LOST_SECONDS = 5.0
_KILL_SECONDS = 2.0
_REDIAL_SECONDS = 0.1
_ALIVE_SECONDS = 0.25
_LOOK_SECONDS = 0.05
_FIRST_LOOK_SECONDS = 0.005


class Attachment:
    """Dials a run's coordinator and obeys it until the run needs the agent no more."""

    def __init__(
        self,
        assignment: agents_pb2.Assignment,
        agent: trainer_pb2.Agent,
        settings: AgentSettings,
        warm: WarmProcess,
        link: Link,
    ) -> None:
        """Prepares; `run` does the work.

        Args:
            assignment: The run, its attempt and where its coordinator is.
            agent: How the agent introduces itself.
            settings: The agent's settings.
            warm: Forks the workers.
            link: Way to the coordinator.
        """
        self.assignment = assignment
        self._link = link
        self._agent = agent
        self._settings = settings
        self._warm = warm
        self._outbox: asyncio.Queue[agents_pb2.AttachRequest] | None = None
        self._sent_at = 0.0
        self.is_leaving = False
        self.world: LocalWorld | None = None
        run_id = assignment.training_run.rpartition("/")[2]
        self._commit_dir: Path = settings.commit_root / run_id

    async def run(self) -> None:
        """Works until the coordinator says it is over, or is lost for 5 s. Kills on the way out."""
        self._commit_dir.mkdir(parents=True, exist_ok=True)
        telemetry.bind_run(self.assignment.training_run, self.assignment.attempt)
        look = asyncio.create_task(self._look_often())
        try:
            if await self._converse_until_finished():
                await self.stop_world()
                shutil.rmtree(self._commit_dir, ignore_errors=True)
        finally:
            await self.stop_world()
            look.cancel()

    async def stop_world(self) -> None:
        """Kills the workers and waits until they are gone."""
        if self.world is None:
            return
        self.world.kill()
        try:
            await asyncio.wait_for(self.world.gone.wait(), _KILL_SECONDS)
        except TimeoutError:
            self._warm.kill_all()  # it does not obey; the kernel kills its workers
            await self.world.gone.wait()

    def send_status(self) -> None:
        """Tells the coordinator what the agent offers now."""
        slots = self._agent.slots if self._warm.is_ready else 0
        status = agents_pb2.AgentStatus(ready_slots=slots, leaving=self.is_leaving)
        self._send(agents_pb2.AttachRequest(status=status))

    async def _converse_until_finished(self) -> bool:
        last_heard = time.monotonic()
        while True:
            try:
                async with self._link.whole():
                    if await self._converse():
                        return True
            except TimeoutError:
                _log.warning("no coordinator: the link is cut")
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    return False
                _log.info("no coordinator: %s %s", error.code().name, error.details())
            if self._outbox is not None:  # there was a connection until now
                last_heard = time.monotonic()
                self._outbox = None
            if time.monotonic() - last_heard > LOST_SECONDS:
                _log.warning("the coordinator is lost; its workers are killed")
                return False
            await asyncio.sleep(_REDIAL_SECONDS)

    async def _converse(self) -> bool:
        """Obeys until the stream ends; returns whether the run needs the agent no more."""
        address, token = self.assignment.coordinator_address, self.assignment.token
        async with client.connect(address, token) as channel:
            stub = agents_pb2_grpc.WorkerControlServiceStub(channel)
            async for order in stub.Attach(self._messages()):
                if order.WhichOneof("kind") == "finish":
                    return True
                await self._obey(order)
        return False

    async def _messages(self) -> AsyncIterator[agents_pb2.AttachRequest]:
        outbox: asyncio.Queue[agents_pb2.AttachRequest] = asyncio.Queue()
        yield agents_pb2.AttachRequest(attached=self._introduction())
        self._outbox = outbox
        self.send_status()
        while True:
            self._sent_at = time.monotonic()
            yield await outbox.get()

    def _introduction(self) -> agents_pb2.AgentAttached:
        is_busy = self.world is not None and not self.world.gone.is_set()
        return agents_pb2.AgentAttached(
            agent=self._agent,
            address=self._settings.agent_address,
            interface=interface_of(self._settings.agent_address),
            commit=read_commit(self._commit_dir),
            world=self.world.number if self.world is not None and is_busy else 0,
        )

    def _send(self, message: agents_pb2.AttachRequest) -> None:
        # Without a coordinator the message has no reader: one that comes back ends the world.
        if self._outbox is not None:
            self._outbox.put_nowait(message)

    async def _obey(self, order: agents_pb2.Order) -> None:
        kind = order.WhichOneof("kind")
        if kind == "start_world":
            start = order.start_world
            with telemetry.span("agent.start_world", start.traceparent, {"world": start.world}):
                await self._start(start.world, orders.world_orders(start, self._commit_dir))
        elif kind == "build_package":
            build = order.build_package
            with telemetry.span("agent.build_package", build.traceparent):
                await self._start(build.world, [orders.package_order(build, self._commit_dir)])
        elif kind == "stop_world":
            self._stop(order.stop_world.world)
        elif kind == "request_commit" and self.world is not None:
            self.world.request_commit()
        elif kind == "inject_fault":
            faults.suffer(order.inject_fault, self.world, self._link)

    async def _start(self, number: int, to_fork: Sequence[WorkerOrder]) -> None:
        await self.stop_world()
        self.world = LocalWorld(number, self._commit_dir, self._warm, self._send)
        self.world.start(to_fork)

    def _stop(self, number: int) -> None:
        if self.world is not None and not self.world.gone.is_set():
            self.world.kill()  # says that it has stopped when the workers are gone
            return
        stopped = agents_pb2.WorldStopped(world=number, commit=read_commit(self._commit_dir))
        self._send(agents_pb2.AttachRequest(world_stopped=stopped))

    async def _look_often(self) -> None:
        """Passes on progress, and gives signs of life."""
        while True:
            world = self.world
            if world is not None:
                world.look()
            self._warm.look()
            if time.monotonic() - self._sent_at > _ALIVE_SECONDS:
                self.send_status()
            is_starting = world is not None and not world.gone.is_set() and not world.has_step
            await asyncio.sleep(_FIRST_LOOK_SECONDS if is_starting else _LOOK_SECONDS)


async def cancelled(task: "asyncio.Task[None]") -> None:
    """Cancels a task and waits until it has ended."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
