"""What the coordinator knows of one world, and how it judges it. No clocks, no calls."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from aimass.trainer.v1 import agents_pb2
from services.trainer.worker.process import (
    EXIT_FINISHED,
    EXIT_PEER_LOST,
    EXIT_TRAINING_FAILED,
)


@dataclass(frozen=True)
class Seat:
    """A worker's place in a world.

    Attributes:
        rank: Its rank.
        agent: Id of the agent that runs it.
        local_rank: Its number among the agent's workers.
    """

    rank: int
    agent: str
    local_rank: int


class Cause(Enum):
    """Why a world is over."""

    FINISHED = "finished"
    TRAINING_FAILED = "training failed"
    WORKER_ENDED = "worker ended"
    PEER_LOST = "peer lost"
    WORKER_STOPPED = "worker stopped"
    SILENCE = "silence"
    AGENT_LOST = "agent lost"
    PLANNED = "planned"


@dataclass(frozen=True)
class Verdict:
    """Why a world is over.

    Attributes:
        cause: The kind of cause.
        reason: Part of a sentence for a person, for example `worker 1 was killed by SIGKILL`.
        noticed_at: When it was noticed, in seconds of the clock that the world is judged by.
    """

    cause: Cause
    reason: str
    noticed_at: float

    @property
    def is_fault(self) -> bool:
        """Whether the workers' program may be to blame."""
        return self.cause not in (Cause.AGENT_LOST, Cause.PLANNED, Cause.FINISHED)


@dataclass
class World:
    """One membership.

    Attributes:
        number: Its number within the attempt, from 1.
        seats: Its workers by rank.
        from_step: Step it starts from; -1 where that is not known.
        steps: Last finished step of each rank.
        beats: Signs of life of each rank.
        settled: Agents whose workers have committed as they were asked to, and do no more.
        exits: Exit code of each rank that ended.
        stopped: Ranks that are stopped by a signal.
        finished: What each rank said that finished.
        performances: What each rank said of its steps.
        failed: What a rank said that cannot go on.
        package: The package that was built.
        sign_at: When any rank last gave a sign of life.
        first_step_at: When the first step was finished; None before.
        stepped_at: When the newest step was finished; None before the first.
    """

    number: int
    seats: Sequence[Seat]
    from_step: int
    sign_at: float
    steps: dict[int, int] = field(default_factory=dict)
    beats: dict[int, int] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    exits: dict[int, int] = field(default_factory=dict)
    stopped: frozenset[int] = frozenset()
    finished: dict[int, agents_pb2.TrainingFinished] = field(default_factory=dict)
    performances: dict[int, agents_pb2.WorkerPerformance] = field(default_factory=dict)
    failed: agents_pb2.TrainingFailed | None = None
    package: agents_pb2.PackagePublished | None = None
    first_step_at: float | None = None
    stepped_at: float | None = None

    @property
    def agents(self) -> list[str]:
        """The agents of its workers, in rank order."""
        return [seat.agent for seat in self.seats]

    @property
    def newest_step(self) -> int:
        """Newest step that any worker finished; `from_step` before the first."""
        return max([self.from_step, *self.steps.values()])

    @property
    def made_progress(self) -> bool:
        """Whether any worker finished a step."""
        return self.first_step_at is not None

    def ranks_of(self, agent: str) -> dict[int, int]:
        """Returns the ranks of an agent's workers by local rank."""
        return {seat.local_rank: seat.rank for seat in self.seats if seat.agent == agent}

    def note_progress(self, agent: str, progress: agents_pb2.WorldProgress, now: float) -> int:
        """Takes an agent's progress report.

        Returns:
            How many steps the world came further.
        """
        before = self.newest_step
        ranks = self.ranks_of(agent)
        for local_rank, (step, beat) in enumerate(zip(progress.steps, progress.beats, strict=True)):
            rank = ranks[local_rank]
            if self.beats.get(rank, 0) != beat:
                self.beats[rank] = beat
                self.sign_at = now
            if step >= 0:
                self.steps[rank] = step
        self.stopped = (self.stopped - set(ranks.values())) | {
            ranks[local_rank] for local_rank in progress.stopped
        }
        if progress.settled:
            self.settled.add(agent)
        if self.steps and self.first_step_at is None:
            self.first_step_at = now
        if self.newest_step > before:
            self.stepped_at = now
        return max(self.newest_step, 0) - max(before, 0)

    def note_exit(self, exited: agents_pb2.WorkerExited) -> None:
        """Takes the end of a worker."""
        self.exits.setdefault(exited.rank, exited.exit_code)

    def note_report(self, report: agents_pb2.WorkerReport) -> None:
        """Takes a worker's word on how it ended."""
        kind = report.WhichOneof("kind")
        if kind == "finished":
            self.finished[report.rank] = report.finished
        elif kind == "failed":
            self.failed = self.failed or report.failed
        elif kind == "performance":
            self.performances[report.rank] = report.performance
        elif kind == "package":
            self.package = report.package

    def is_complete(self) -> bool:
        """Whether every worker finished and ended well."""
        ranks = {seat.rank for seat in self.seats}
        return ranks == self.finished.keys() and all(
            self.exits.get(rank) == EXIT_FINISHED for rank in ranks
        )


def judge(
    world: World, missing: Mapping[str, str], now: float, silence_limit: float
) -> Verdict | None:
    """Says whether a world is over.

    Args:
        world: The world.
        missing: Agents of the world that are not there, with what is the matter with them.
        now: Seconds of the clock that `sign_at` is of.
        silence_limit: Seconds without any worker's sign of life after which it counts as frozen.
            While one is frozen, the others soon wait for it: only the silence of all tells.

    Returns:
        Why it is over, or None while it goes on.
    """
    found = _judge(world, missing, now - world.sign_at > silence_limit)
    return Verdict(*found, noticed_at=now) if found else None


def _judge(world: World, missing: Mapping[str, str], is_silent: bool) -> tuple[Cause, str] | None:
    if world.failed is not None:
        return Cause.TRAINING_FAILED, world.failed.message
    if world.is_complete() or world.package is not None:
        return Cause.FINISHED, "finished"
    for agent, matter in missing.items():
        return Cause.AGENT_LOST, f"{agent} {matter}"
    ended = _judge_exits(world)
    if ended is not None:
        return ended
    for rank in sorted(world.stopped):
        return Cause.WORKER_STOPPED, f"worker {rank} is frozen (stopped by a signal)"
    if is_silent:
        return Cause.SILENCE, "no worker gave a sign of life for too long"
    return None


def _judge_exits(world: World) -> tuple[Cause, str] | None:
    ended = [
        (rank, code)
        for rank, code in sorted(world.exits.items())
        if code != EXIT_FINISHED or rank not in world.finished
    ]
    if not ended:
        return None
    # A worker that was killed explains those that lost a peer, or were aborted by Gloo for it.
    rank, code = min(
        ended, key=lambda item: (item[1] != -signal.SIGKILL, item[1] == EXIT_PEER_LOST)
    )
    cause = Cause.PEER_LOST if code == EXIT_PEER_LOST else Cause.WORKER_ENDED
    return cause, f"worker {rank} {describe_exit(code)}"


def describe_exit(code: int) -> str:
    """Says how a worker ended."""
    if code == EXIT_PEER_LOST:
        return "lost the connection to another worker"
    if code == EXIT_TRAINING_FAILED:
        return "cannot go on"
    if code == EXIT_FINISHED:
        return "ended before it was finished"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
