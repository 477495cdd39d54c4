"""Builds worlds, one after the other, until training is complete."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aimass.trainer.v1 import agents_pb2, trainer_pb2
from aimass.type.v1 import event_pb2
from common import telemetry
from common.errors import UnavailableError
from services.trainer.coordinator import crew as crews
from services.trainer.coordinator.changes import Changes
from services.trainer.coordinator.checkpoints import Checkpoints
from services.trainer.coordinator.crew import CrewSize
from services.trainer.coordinator.endurance import Endurance
from services.trainer.coordinator.errors import (
    TrainingFailedError,
    WorkersFailedError,
)
from services.trainer.coordinator.injection import inject
from services.trainer.coordinator.journal import Journal
from services.trainer.coordinator.keys import WorkerKeys
from services.trainer.coordinator.members import Member, Members
from services.trainer.coordinator.orders import Orders
from services.trainer.coordinator.pace import Pace
from services.trainer.coordinator.recovery import Change, opening
from services.trainer.coordinator.rendezvous import Rendezvous
from services.trainer.coordinator.waiting import Waiting
from services.trainer.coordinator.world import Cause, Seat, Verdict, World, judge

_WANTED_SECONDS = 2.0
_LOOK_SECONDS = 0.25
_CAUSE_SECONDS = 0.05
_STOP_SECONDS = 1.0
# Both together stay below the time that a cancelled run's process is given.
_DISMISS_SECONDS = 3.0
_PART_SECONDS = 0.5
_COMMIT_SECONDS = 2.0
_COMMIT_STEPS = 5
_PACKAGE_SILENCE_SECONDS = 600.0
_ONE = CrewSize(1, 1, 1, 600.0)


class Conductor:
    """Keeps a run's workers together. What agents say comes in by `hear`.

    Attributes:
        members: The agents.
        performances: What each rank of the world that finished says of its steps.
    """

    def __init__(self, rendezvous: Rendezvous, journal: Journal, checkpoints: Checkpoints) -> None:
        """Starts without agents and workers. Agents may attach before `begin`.

        Args:
            rendezvous: Serves Horovod's rendezvous.
            journal: Hears what happens.
            checkpoints: The run's checkpoints in the store.
        """
        self._rendezvous = rendezvous
        self._journal = journal
        self._checkpoints = checkpoints
        self._orders = Orders()
        self.performances: Mapping[int, agents_pb2.WorkerPerformance] = {}
        self._changes = Changes()
        self._pace = Pace()
        self._world: World | None = None
        self._crew: dict[str, Member] = {}
        self._worlds = 0
        self._endurance = Endurance()
        self._change: Change | None = None
        self.members = Members(self._changes, self._hear)
        self.queue_place: trainer_pb2.QueuePlace | None = None

    def begin(
        self,
        job_key: str,
        lost: Change | None = None,
        keys: WorkerKeys | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Says what the workers work on. Call it before `train`.

        Args:
            job_key: Key of the job file.
            lost: What became of the attempt before; None for the first one.
            keys: What workers reach the store by; None where their agents have keys.
            variables: Environment of every worker, in place of its agent's.
        """
        self._orders = Orders(job_key, keys, variables or {})
        self._change = lost

    async def train(self, size: CrewSize) -> agents_pb2.TrainingFinished:
        """Trains until every worker of a world says that it is complete.

        Raises:
            NotEnoughWorkersError: Too few workers for too long.
            TrainingFailedError: A worker says that training cannot go on.
            WorkersFailedError: Workers die again and again.
        """
        while True:
            await asyncio.sleep(self._endurance.pause_seconds)
            crew = await self._gather(size)
            world = await self._start_world(crew, size)
            if world is None:
                continue
            verdict = await self._follow(world, size)
            await self._stop(world)
            self._conclude(world, verdict)
            if verdict.cause is Cause.FINISHED:
                self._close_change(world, verdict.noticed_at)
                self.performances = world.performances
                return world.finished[0]
            self._change = Change.of(world, verdict, self._change)

    async def build_package(self, step: int) -> agents_pb2.PackagePublished | None:
        """Has an agent build the model package from the newest commit.

        Args:
            step: The last step of the training.

        Returns:
            The package; None where the hosts that had the state of that step are gone: train again.

        Raises:
            NotEnoughWorkersError: There is no agent any more.
            TrainingFailedError: The worker says that it cannot be built.
            WorkersFailedError: Workers die again and again.
        """
        while True:
            await asyncio.sleep(self._endurance.pause_seconds)
            crew = await self._gather(_ONE)
            if max(crew[0].commit_step, self._checkpoints.newest[0]) < step:
                self._change = self._state_lost(step)
                return None
            world = self._start_package(crew[0])
            verdict = await self._follow(world, None)
            await self._stop(world)
            self._conclude(world, verdict)
            if world.package is not None:
                self._close_change(world, verdict.noticed_at)
                return world.package
            self._change = Change.of(world, verdict, self._change)

    def _state_lost(self, step: int) -> Change:
        noticed_at = time.monotonic() if self._change is None else self._change.noticed_at
        reason = "the hosts with the trained state are gone"
        return Change(reason, event_pb2.CHANGE_CAUSE_STATE_LOST, noticed_at, step)

    async def dismiss(self) -> None:
        """Ends all workers, waits until they are gone, and lets all agents go."""
        self._worlds += 1
        for member in self.members:
            member.order(agents_pb2.Order(stop_world=agents_pb2.StopWorld(world=self._worlds)))
        await self._changes.until(self._is_quiet, _DISMISS_SECONDS)
        for member in self.members:
            self.members.let_go(member)
        await self._changes.until(lambda: not list(self.members), _PART_SECONDS)

    def inject(self, fault: agents_pb2.Fault) -> agents_pb2.FaultAnswer:
        """Does harm to the run, as an admin wants it."""
        world = self._world
        is_there = world is not None and any(m.world == world.number for m in self.members)
        seats = world.seats if world is not None and is_there else ()
        return inject(fault, seats, self.members, self._journal.warn)

    def _is_quiet(self) -> bool:
        now = time.monotonic()
        return all(member.world == 0 or member.is_silent(now) for member in self.members)

    async def _gather(self, size: CrewSize) -> list[Member]:
        """Waits for agents; returns those of the next world, the newest commit first."""
        # A run that lost workers goes on with those it has; only a new attempt waits for more.
        patience = 0.0 if self._worlds else _WANTED_SECONDS
        waiting = Waiting(size, patience, time.monotonic())
        while True:
            await self._save()
            self._release()
            now = time.monotonic()
            usable = [member for member in self.members if member.is_usable(now)]
            slots = sum(member.ready_slots for member in usable)
            if waiting.is_over(slots, now):
                return crews.choose(usable, size.max)
            waiting.check(slots, self.queue_place, now)
            if reason := waiting.announcement(slots, self.queue_place, now):
                why = f"{self._change.reason}; " if self._change is not None else ""
                self._journal.waiting(self._worlds, f"{why}{reason}")
            await self._changes.next(_LOOK_SECONDS)

    async def _save(self) -> None:
        """Stores the newest commit where it would go with the agents that go."""
        stored = self._checkpoints.newest[0]
        member = crews.last_keeper(list(self.members), stored, time.monotonic())
        if member is None:
            return
        world = self._start_package(member, only_commit=True)
        verdict = await self._follow(world, None)
        await self._stop(world)
        if verdict.cause is not Cause.FINISHED:
            self._journal.warn(f"The newest commit is lost: {verdict.reason}.")
            self.members.let_go(member)

    async def _start_world(self, crew: Sequence[Member], size: CrewSize) -> World | None:
        """Starts workers; returns None where the rendezvous process had to be started anew."""
        hosts = crews.hosts(crew, size.max)
        try:
            environments = await self._rendezvous.open_world(hosts)
        except UnavailableError:
            return None
        world = self._new_world(crews.seats(hosts), crew)
        self._orders.begin_world()
        with telemetry.span("coordinator.start_world", attributes={"world": world.number}):
            for member in crew:
                member.world = world.number
                key = self._checkpoint_for(world)
                member.order(self._orders.start(world, member.id, environments, key))
        if self._change is None:
            self._journal.membership(opening(world))
        return world

    def _new_world(self, seats: Sequence[Seat], crew: Sequence[Member]) -> World:
        from_step = max(crew[0].commit_step, self._checkpoints.newest[0])
        self._crew = {member.id: member for member in crew}
        self._worlds += 1
        if self._change is not None:
            self._change = self._change.seen(*self.members.take_last_step())
        self._world = World(self._worlds, seats, from_step, sign_at=time.monotonic())
        self._pace.begin_world()
        return self._world

    def _checkpoint_for(self, world: World) -> str:
        """Returns the checkpoint to start from; empty where a host's commit is as new."""
        first = self.members.get(world.seats[0].agent)
        step, key = self._checkpoints.newest
        return key if first is None or step > first.commit_step else ""

    def _start_package(self, member: Member, *, only_commit: bool = False) -> World:
        world = self._new_world([Seat(0, member.id, 0)], [member])
        member.world = world.number
        checkpoint = self._checkpoint_for(world)
        member.order(self._orders.build(world, checkpoint, only_commit=only_commit))
        return world

    async def _follow(self, world: World, size: CrewSize | None) -> Verdict:
        """Waits until a world is over, and says why.

        Args:
            world: The world.
            size: How large worlds may be; None for a world that is not to be changed.
        """
        is_announced = self._change is None or size is None
        while True:
            self._release()
            verdict = self._judge(world, size)
            if verdict is not None:
                return await self._find_cause(world, size, verdict)
            if world.made_progress and not is_announced:
                is_announced = True
                self._announce(world, world.first_step_at)
            now = time.monotonic()
            reason = crews.planned_change(world, list(self.members), size, now) if size else ""
            if not reason and size and self._orders.want_world():
                reason = "its workers get new keys to the store"
            if reason:
                return await self._commit_first(world, size, reason)
            await self._changes.next(_LOOK_SECONDS)

    def _judge(self, world: World, size: CrewSize | None) -> Verdict | None:
        now = time.monotonic()
        limit = (
            _PACKAGE_SILENCE_SECONDS
            if size is None
            else self._pace.silence_limit(world.made_progress)
        )
        return judge(world, self._missing(world, now), now, limit)

    def _missing(self, world: World, now: float) -> dict[str, str]:
        """Returns the agents of a world that are gone or frozen, with what is the matter."""
        missing = {}
        for agent in world.agents:
            member = self.members.get(agent)
            if member is None or member is not self._crew.get(agent):
                missing[agent] = "is gone"
            elif member.is_silent(now):
                missing[agent] = "is frozen (no sign of life)"
        return missing

    async def _find_cause(self, world: World, size: CrewSize | None, verdict: Verdict) -> Verdict:
        """Waits a moment for the cause where only a consequence is known."""
        if verdict.cause is not Cause.PEER_LOST:
            return verdict

        def is_clear() -> bool:
            found = self._judge(world, size)
            return found is not None and found.cause is not Cause.PEER_LOST

        await self._changes.until(is_clear, _CAUSE_SECONDS)
        found = self._judge(world, size) or verdict
        return replace(found, noticed_at=verdict.noticed_at)

    async def _commit_first(self, world: World, size: CrewSize | None, reason: str) -> Verdict:
        """Has the workers commit before a planned change, so that no step is lost."""
        there = [member for member in self.members if member.world == world.number]
        # Those that go need none, and whoever commits holds up the others.
        committing = [member for member in there if member.may_stay()] or there
        for member in committing:
            order = agents_pb2.RequestCommit(world=world.number)
            member.order(agents_pb2.Order(request_commit=order))

        def is_safe() -> bool:
            return bool(world.settled) or self._judge(world, size) is not None

        usual = self._pace.step_seconds or 0.0
        await self._changes.until(is_safe, max(_COMMIT_SECONDS, _COMMIT_STEPS * usual))
        return self._judge(world, size) or Verdict(Cause.PLANNED, reason, time.monotonic())

    def _announce(self, world: World, at: float | None) -> None:
        """Tells of a new world once it has finished a step."""
        if self._change is not None and at is not None:
            self._journal.membership(self._change.event(world, at))

    def _close_change(self, world: World, at: float) -> None:
        """Tells of a world that had no step to do: the ones before it had done them all."""
        if not world.made_progress:
            self._announce(world, at)
        self._change = None

    async def _stop(self, world: World) -> None:
        """Kills a world's workers and waits until they are gone, so that the commit is settled."""
        for member in self.members:
            if member.world == world.number:
                order = agents_pb2.StopWorld(world=world.number)
                member.order(agents_pb2.Order(stop_world=order))

        def is_gone() -> bool:
            return all(member.world != world.number for member in self.members)

        # An agent that does not answer is left out of the next world.
        await self._changes.until(is_gone, _STOP_SECONDS)

    def _conclude(self, world: World, verdict: Verdict) -> None:
        """Counts faults; raises when the run cannot go on."""
        if world.failed is not None:
            raise TrainingFailedError(world.failed.message, reason=world.failed.reason)
        if verdict.cause is Cause.SILENCE:
            self._pace.note_alarm()
        worlds = self._endurance.note(world, verdict)
        if worlds:
            raise WorkersFailedError(worlds, verdict.reason, self._journal.last_lines)

    def _release(self) -> None:
        """Lets agents go that leave or that another run needs."""
        for member in list(self.members):
            if not member.may_stay() and member.world == 0:
                self.members.let_go(member)

    def _hear(self, agent: str, message: agents_pb2.AttachRequest) -> None:
        """Takes what an agent says about its workers."""
        world = self._world
        kind = message.WhichOneof("kind")
        if kind == "worker_report":
            self._hear_report(message.worker_report)
        elif world is None:
            return
        elif kind == "world_progress" and message.world_progress.world == world.number:
            now = time.monotonic()
            count = world.note_progress(agent, message.world_progress, now)
            if count > 0:
                self._pace.note_steps(count, now)
                self._journal.steps_done(
                    world.newest_step, len(world.seats), self._pace.step_seconds
                )
        elif kind == "worker_exited" and message.worker_exited.world == world.number:
            world.note_exit(message.worker_exited)

    def _hear_report(self, report: agents_pb2.WorkerReport) -> None:
        kind = report.WhichOneof("kind")
        if kind == "metrics":
            self._journal.metrics(report.metrics)
        elif kind == "log_line":
            self._journal.worker_line(report.log_line)
        elif kind == "checkpoint":
            self._checkpoints.note(report.checkpoint)
        elif self._world is not None and report.world == self._world.number:
            self._world.note_report(report)
