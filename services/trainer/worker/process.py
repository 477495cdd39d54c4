"""What a forked worker is given: its place in the world, a progress board, a report pipe.

The agent's warm process calls `run_worker` in the child right after the fork. The training code
sees only the `WorkerPlace`. This module imports neither grpc nor torch.
"""

import ctypes
import mmap
import os
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Literal

from aimass.trainer.v1 import agents_pb2
from services.trainer.worker.memory import resident_bytes

WorkerTask = Literal["train", "package", "save"]
EXIT_FINISHED = 0
"""Training (or the package) is complete."""
EXIT_FAULT = 1
"""An unexpected error; the world is replaced, and the run fails when that does not help."""
EXIT_PEER_LOST = 3
"""A collective operation failed because another worker is gone; the world is replaced."""
EXIT_TRAINING_FAILED = 4
"""Training cannot go on; a `TrainingFailed` was reported before."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LENGTH = struct.Struct("<I")

# The words of a board: three for the host, then three for each local rank.
_COMMIT_STEP, _COMMIT_EPOCH, _COMMIT_REQUEST, _RANKS = 0, 1, 2, 3
_STEP, _BEAT, _DISTURBANCE, _RANK_WORDS = 0, 1, 2, 3
_WORD_BYTES = 8
_NOT_REQUESTED, _REQUESTED, _SETTLED = 0, 1, 2
_END_SECONDS = 2.0
_END_POLL_SECONDS = 0.02


def die_with_parent(parent: int) -> None:
    """Makes the kernel kill this process with SIGKILL when its parent dies.

    Args:
        parent: Process id of the parent, as the parent knows it; when it is gone already, this
            process ends at once.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_FAULT)


class Disturbance(IntEnum):
    """What a worker is to suffer, so that it can be seen how its run takes it."""

    NONE = 0
    SLOW = 1
    NAN = 2


@dataclass(frozen=True)
class BoardSnapshot:
    """A board at one moment.

    Attributes:
        steps: Last finished step of each local rank; -1 before the first in this world.
        beats: Signs of life of each local rank, finished steps included.
        commit_step: Step of the newest commit of this world on this host; -1 for none.
        commit_epoch: Epoch it lies in.
        is_settled: Whether the commit that was asked for is there, and no step follows.
    """

    steps: tuple[int, ...]
    beats: tuple[int, ...]
    commit_step: int
    commit_epoch: int
    is_settled: bool


class ProgressBoard:
    """Memory that the workers of one world on one host share with their agent.

    A word is 8 bytes, aligned, and stored at once, so that no lock is needed: each word has one
    writer, the request flag aside.
    """

    def __init__(self, descriptor: int, local_size: int, local_rank: int = 0) -> None:
        """Maps a board.

        Args:
            descriptor: File descriptor that `create` returned.
            local_size: Number of workers on this host.
            local_rank: The worker that writes through this object.
        """
        size = (_RANKS + _RANK_WORDS * local_size) * _WORD_BYTES
        self._memory = mmap.mmap(descriptor, size)
        self._words = memoryview(self._memory).cast("q")
        self._local_size = local_size
        first = _RANKS + _RANK_WORDS * local_rank
        self._step_word, self._beat_word = first + _STEP, first + _BEAT
        self._disturbance_word = first + _DISTURBANCE

    @staticmethod
    def create(local_size: int) -> int:
        """Returns the descriptor of a new board in anonymous shared memory."""
        descriptor = os.memfd_create("aimass-progress")
        rank = struct.pack("=qqq", -1, 0, Disturbance.NONE)
        os.write(descriptor, struct.pack("=qqq", -1, 0, _NOT_REQUESTED) + rank * local_size)
        return descriptor

    def finish_step(self, step: int) -> None:
        """Says that this worker finished a step.

        Args:
            step: Steps done since the start of the run, this one included.
        """
        self._words[self._step_word] = step
        self.beat()

    def beat(self) -> None:
        """Gives a sign of life between steps.

        Call it at least every second where something takes long: reading data, building the
        network, each validation batch, writing a checkpoint. A worker without one for too long
        counts as frozen and is replaced.
        """
        self._words[self._beat_word] += 1

    def committed(self, step: int, epoch: int) -> None:
        """Says that the commit file of this host now holds this step. One worker a host calls it.

        Where the commit was asked for, the world is about to be replaced: a step done now would be
        done again, so this waits to be killed, for 2 s at most. The others wait for this worker.

        Args:
            step: Steps done since the start of the run.
            epoch: Epoch that it lies in, from 1.
        """
        self._words[_COMMIT_EPOCH] = epoch
        self._words[_COMMIT_STEP] = step
        # A commit written in the background is older than the newest step: another one is due.
        if self.commit_requested() and step >= self._words[self._step_word]:
            self._words[_COMMIT_REQUEST] = _SETTLED
            self._wait_for_the_end()
            self._words[_COMMIT_REQUEST] = _NOT_REQUESTED

    def _wait_for_the_end(self) -> None:
        end = time.monotonic() + _END_SECONDS
        while time.monotonic() < end:
            self.beat()
            time.sleep(_END_POLL_SECONDS)

    def commit_requested(self) -> bool:
        """Returns whether a commit is wanted at the next step, whatever the interval."""
        return self._words[_COMMIT_REQUEST] == _REQUESTED

    def request_commit(self) -> None:
        """Asks the workers of this host for a commit; the agent calls it."""
        self._words[_COMMIT_REQUEST] = _REQUESTED

    def disturbance(self) -> Disturbance:
        """Returns what this worker is to suffer."""
        return Disturbance(self._words[self._disturbance_word])

    def disturb(self, local_rank: int, disturbance: Disturbance) -> None:
        """Has a worker suffer; the agent calls it."""
        self._words[_RANKS + _RANK_WORDS * local_rank + _DISTURBANCE] = disturbance

    def read(self) -> BoardSnapshot:
        """Returns what the board says now."""
        ranks = self._words[_RANKS : _RANKS + _RANK_WORDS * self._local_size].tolist()
        return BoardSnapshot(
            steps=tuple(ranks[_STEP::_RANK_WORDS]),
            beats=tuple(ranks[_BEAT::_RANK_WORDS]),
            commit_step=self._words[_COMMIT_STEP],
            commit_epoch=self._words[_COMMIT_EPOCH],
            is_settled=self._words[_COMMIT_REQUEST] == _SETTLED,
        )

    def close(self) -> None:
        """Unmaps the board."""
        self._words.release()
        self._memory.close()


class ReportPipe:
    """The writing end of a worker's pipe to its agent. Safe to use from several threads."""

    def __init__(self, descriptor: int, world: int, rank: int) -> None:
        """Wraps a pipe.

        Args:
            descriptor: File descriptor to write to.
            world: Number of the world; filled into every report.
            rank: The worker's rank; filled into every report.
        """
        self._descriptor = descriptor
        self._world = world
        self._rank = rank
        self._lock = threading.Lock()

    def send(self, report: agents_pb2.WorkerReport) -> None:
        """Sends a report; waits where the agent is behind."""
        report.world = self._world
        report.rank = self._rank
        data = report.SerializeToString()
        view = memoryview(_LENGTH.pack(len(data)) + data)
        with self._lock:
            while view:
                view = view[os.write(self._descriptor, view) :]


class ReportParser:
    """Cuts the bytes of a report pipe into reports."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[agents_pb2.WorkerReport]:
        """Takes bytes as they came and returns the reports that are now complete."""
        self._buffer += data
        reports = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            reports.append(
                agents_pb2.WorkerReport.FromString(bytes(self._buffer[_LENGTH.size : end]))
            )
            del self._buffer[:end]
        return reports


@dataclass(frozen=True)
class WorkerPlace:
    """Everything a worker is told. Horovod's variables are in `os.environ`.

    Attributes:
        job_key: Key in the object store of the run's job file.
        checkpoint_key: Key of the newest checkpoint in the store; empty for none.
        commit_dir: Directory of this host's commits of the run, in memory, shared by the agent's
            workers of the run. It exists.
        report: Sends a report to the coordinator; world and rank are filled in. Thread-safe.
        progress: The board this worker writes to.
        world: Number of the world within the attempt.
        rank: The worker's rank; 0 when it does not train.
        size: Number of workers in the world; 1 when it does not train.
        local_rank: Its number among the agent's workers of this world.
        task: To train, to build the model package from the newest commit (or checkpoint), or to
            save that commit in the store. Only those who train have a world of Horovod's.
        traceparent: W3C traceparent that the worker's spans belong to; empty for none.
        began_bytes: Memory of the process when it began.
    """

    job_key: str
    checkpoint_key: str
    commit_dir: Path
    report: Callable[[agents_pb2.WorkerReport], None]
    progress: ProgressBoard
    world: int
    rank: int
    size: int
    local_rank: int
    task: WorkerTask
    traceparent: str
    began_bytes: int = field(default_factory=resident_bytes)


WorkerMain = Callable[[WorkerPlace], int]
"""What runs in a worker: takes the context, returns the exit code."""


@dataclass(frozen=True)
class Descriptors:
    """What a worker inherits.

    Attributes:
        report: Writing end of its report pipe.
        output: Writing end of the pipe for standard output and standard error.
        board: Its host's progress board.
    """

    report: int
    output: int
    board: int


@dataclass(frozen=True)
class WorkerOrder:
    """What the agent asks the warm process to fork.

    Attributes:
        world: Number of the world within the attempt.
        rank: The worker's rank.
        size: Workers in the world.
        local_rank: Its number among this agent's workers.
        local_size: This agent's workers in the world.
        environment: Variables to set.
        job_key: See `WorkerPlace`.
        checkpoint_key: See `WorkerPlace`.
        commit_dir: See `WorkerPlace`.
        task: See `WorkerPlace`.
        traceparent: See `WorkerPlace`.
    """

    world: int
    rank: int
    size: int
    local_rank: int
    local_size: int
    environment: dict[str, str]
    job_key: str
    checkpoint_key: str
    commit_dir: str
    task: WorkerTask
    traceparent: str


def run_worker(
    order: WorkerOrder,
    descriptors: Descriptors,
    parent: int,
    to_close: Sequence[int],
    main: WorkerMain,
) -> None:
    """Runs a worker in a process that was just forked, and ends the process.

    Args:
        order: What to run.
        descriptors: What it inherits.
        parent: Process id of the warm process; its death kills the worker.
        to_close: Descriptors of the parent that the worker must not keep open.
        main: The training code.
    """
    code = EXIT_FAULT
    try:
        die_with_parent(parent)
        for descriptor in to_close:
            os.close(descriptor)
        os.dup2(descriptors.output, 1)
        os.dup2(descriptors.output, 2)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.environ.update(order.environment)
        code = main(_context(order, descriptors))
    except BaseException:  # the process ends here whatever happened
        traceback.print_exc()
    finally:
        _flush_output()
        os._exit(code)


def _context(order: WorkerOrder, descriptors: Descriptors) -> WorkerPlace:
    return WorkerPlace(
        job_key=order.job_key,
        checkpoint_key=order.checkpoint_key,
        commit_dir=Path(order.commit_dir),
        report=ReportPipe(descriptors.report, order.world, order.rank).send,
        progress=ProgressBoard(descriptors.board, order.local_size, order.local_rank),
        world=order.world,
        rank=order.rank,
        size=order.size,
        local_rank=order.local_rank,
        task=order.task,
        traceparent=order.traceparent,
    )


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
