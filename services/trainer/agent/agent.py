"""A worker agent: keeps a place in the trainer's pool and works for the runs it is assigned to."""

import asyncio
import contextlib
import logging
import os
import random
import shutil
import socket
import time
from collections.abc import AsyncIterator

import grpc

from aimass.trainer.v1 import agents_pb2, agents_pb2_grpc, trainer_pb2
from common.calls import client
from services.trainer.agent import messages
from services.trainer.agent.attachment import Attachment, cancelled
from services.trainer.agent.link import Link
from services.trainer.agent.settings import AgentSettings
from services.trainer.agent.warm import WarmProcess

_log = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 1.0
_REDIAL_SECONDS = (0.1, 1.0)
_LEAVE_SECONDS = 10.0
_OLD_COMMIT_SECONDS = 3600.0


class Agent:
    """Runs until told to leave.

    Attributes:
        ready: Set once the agent can fork workers.
    """

    def __init__(self, settings: AgentSettings) -> None:
        """Prepares; `run` does the work.

        Args:
            settings: Who it is and where the trainer is.
        """
        self._settings = settings
        self._warm = WarmProcess(settings, self, self._warm_changed)
        self._link = Link()
        self._attachment: Attachment | None = None
        self._task: asyncio.Task[None] | None = None
        self._newest_attempt: dict[str, int] = {}
        self._assignment = 0
        self._is_leaving = False
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.ready = asyncio.Event()

    async def run(self, leave: asyncio.Event) -> None:
        """Works until `leave` is set, then lets the run commit and go on without this agent."""
        _remove_old_commits(self._settings)
        tasks = [asyncio.create_task(self._warm.run()), asyncio.create_task(self._keep_place())]
        try:
            await leave.wait()
            await self._leave()
        finally:
            if self._task is not None:
                await cancelled(self._task)
            for task in tasks:
                await cancelled(task)

    async def _leave(self) -> None:
        self._is_leaving = True
        self._changed.set()
        if self._attachment is not None:
            self._attachment.is_leaving = True
            self._attachment.send_status()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _LEAVE_SECONDS)

    def forked(self, message: messages.Forked) -> None:
        """A worker runs."""
        if self._attachment is not None and self._attachment.world is not None:
            self._attachment.world.forked(message)

    def exited(self, message: messages.Exited) -> None:
        """A worker ended."""
        if self._attachment is not None and self._attachment.world is not None:
            self._attachment.world.exited(message)

    def all_gone(self) -> None:
        """The warm process died, and with it all workers."""
        if self._attachment is not None and self._attachment.world is not None:
            self._attachment.world.all_gone()

    def _warm_changed(self) -> None:
        self._changed.set()
        if self._warm.is_ready:
            self.ready.set()
        if self._attachment is not None:
            self._attachment.send_status()

    def _describe(self) -> trainer_pb2.Agent:
        current = self._attachment.assignment if self._attachment is not None else None
        return trainer_pb2.Agent(
            id=self._settings.agent_id,
            host=socket.gethostname(),
            slots=self._settings.agent_slots,
            devices=self._settings.agent_devices,
            training_run=current.training_run if current is not None else "",
            pid=os.getpid(),
        )

    async def _keep_place(self) -> None:
        """Stays in the pool; dials again when the trainer is gone."""
        shortest, longest = _REDIAL_SECONDS
        delay = shortest
        while True:
            joined_at = time.monotonic()
            try:
                async with self._link.whole():
                    await self._take_assignments()
            except TimeoutError:
                _log.warning("not in the pool: the link is cut")
            except grpc.aio.AioRpcError as error:
                _log.info("not in the pool: %s %s", error.code().name, error.details())
            if time.monotonic() - joined_at > longest:
                delay = shortest
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, longest)

    async def _take_assignments(self) -> None:
        # The pool numbers assignments anew for each stream.
        self._assignment = 0
        async with client.connect(self._settings.trainer_address, self._settings.token) as channel:
            stub = agents_pb2_grpc.AgentPoolServiceStub(channel)
            async for assignment in stub.Join(self._heartbeats()):
                await self._assign(assignment)
                self._assignment = assignment.number
                self._changed.set()

    async def _heartbeats(self) -> AsyncIterator[agents_pb2.JoinRequest]:
        while True:
            self._changed.clear()
            yield self._place()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _HEARTBEAT_SECONDS)

    def _place(self) -> agents_pb2.JoinRequest:
        current = self._attachment.assignment if self._attachment is not None else None
        agent = self._describe()
        if not self._warm.is_ready:
            agent.slots = 0
        return agents_pb2.JoinRequest(
            agent=agent,
            attempt=current.attempt if current is not None else 0,
            coordinator_address=current.coordinator_address if current is not None else "",
            assignment=self._assignment,
            leaving=self._is_leaving,
        )

    async def _assign(self, assignment: agents_pb2.Assignment) -> None:
        if self._is_leaving or self._is_current(assignment):
            return
        run = assignment.training_run
        if run and assignment.attempt < self._newest_attempt.get(run, 0):
            _log.warning("%s attempt %d is out of date; refused", run, assignment.attempt)
            return
        if self._task is not None:
            await cancelled(self._task)
        if run:
            self._newest_attempt[run] = assignment.attempt
            self._attach(assignment)

    def _is_current(self, assignment: agents_pb2.Assignment) -> bool:
        if self._attachment is None:
            return not assignment.training_run
        current = self._attachment.assignment
        return (current.training_run, current.attempt, current.coordinator_address) == (
            assignment.training_run,
            assignment.attempt,
            assignment.coordinator_address,
        )

    def _attach(self, assignment: agents_pb2.Assignment) -> None:
        attachment = Attachment(
            assignment, self._describe(), self._settings, self._warm, self._link
        )
        self._attachment = attachment
        self._idle.clear()
        self._task = asyncio.create_task(self._work(attachment))

    async def _work(self, attachment: Attachment) -> None:
        try:
            await attachment.run()
        except Exception:
            _log.exception("work for %s failed", attachment.assignment.training_run)
        finally:
            self._attachment = None
            self._task = None
            self._idle.set()
            self._changed.set()


def _remove_old_commits(settings: AgentSettings) -> None:
    """Frees memory that runs left behind when their agent was killed."""
    if not settings.commit_root.is_dir():
        return
    for directory in settings.commit_root.iterdir():
        if time.time() - directory.stat().st_mtime > _OLD_COMMIT_SECONDS:
            shutil.rmtree(directory, ignore_errors=True)
