"""The workers of one world on this agent's host."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1 import event_pb2
from services.trainer.agent import messages
from services.trainer.agent.output import LineCutter
from services.trainer.agent.warm import WarmProcess, is_stopped
from services.trainer.worker.commits import read_commit
from services.trainer.worker.process import (
    EXIT_FAULT,
    BoardSnapshot,
    Descriptors,
    Disturbance,
    ProgressBoard,
    ReportParser,
    WorkerOrder,
)

_log = logging.getLogger(__name__)
_SIGKILLED = -9
_STOPPED_SECONDS = 0.1
_READ_BYTES = 1 << 16
Send = Callable[[agents_pb2.AttachRequest], None]


@dataclass
class _Worker:
    """A worker as its agent sees it.

    Attributes:
        order: What it was started with.
        report: Reading end of its report pipe.
        output: Reading end of its output pipe.
        pid: Process id; 0 until the warm process said it.
        is_alive: Whether its exit code is still unknown.
        stopped_since: When it was first seen stopped by a signal; None where it runs.
    """

    order: WorkerOrder
    report: int
    output: int
    pid: int = 0
    is_alive: bool = True
    stopped_since: float | None = None
    parser: ReportParser = field(default_factory=ReportParser)
    cutter: LineCutter = field(default_factory=LineCutter)


class LocalWorld:
    """Starts workers, passes on what they say, and kills them."""

    def __init__(self, number: int, commit_dir: Path, warm: WarmProcess, send: Send) -> None:
        """Prepares a world without workers.

        Args:
            number: Number of the world within the attempt.
            commit_dir: The run's commit directory.
            warm: Forks the workers.
            send: Passes a message to the coordinator.
        """
        self.number = number
        self._commit_dir = commit_dir
        self._warm = warm
        self._send = send
        self._workers: list[_Worker] = []
        self._board: ProgressBoard | None = None
        self._board_descriptor = -1
        self._last_sent: tuple[BoardSnapshot, tuple[int, ...]] | None = None
        self.gone = asyncio.Event()

    @property
    def has_step(self) -> bool:
        """Whether a step of every worker was reported."""
        return self._last_sent is not None and min(self._last_sent[0].steps) >= 0

    def start(self, orders: Sequence[WorkerOrder]) -> None:
        """Forks the workers. A failure to do so counts as their exit."""
        self._board_descriptor = ProgressBoard.create(len(orders))
        self._board = ProgressBoard(self._board_descriptor, len(orders))
        for order in orders:
            self._start_worker(order)

    def _start_worker(self, order: WorkerOrder) -> None:
        report_read, report_write = os.pipe()
        output_read, output_write = os.pipe()
        worker = _Worker(order, report_read, output_read)
        self._workers.append(worker)
        loop = asyncio.get_running_loop()
        for descriptor, take in (
            (report_read, self._take_reports),
            (output_read, self._take_output),
        ):
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, take, worker)
        try:
            descriptors = Descriptors(report_write, output_write, self._board_descriptor)
            self._warm.fork(order, descriptors)
        except OSError as error:
            _log.warning("worker %d cannot be started: %s", order.rank, error)
            loop.call_soon(self.exited, messages.Exited(self.number, order.rank, EXIT_FAULT))
        finally:
            os.close(report_write)
            os.close(output_write)

    def request_commit(self) -> None:
        """Asks the workers for a commit."""
        if self._board is not None:
            self._board.request_commit()

    def signal(self, rank: int, number: signal.Signals) -> None:
        """Sends a worker a signal, where it lives."""
        worker = self._find(rank)
        if worker is not None and worker.is_alive and worker.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    def disturb(self, rank: int, disturbance: Disturbance) -> None:
        """Has a worker suffer, where it lives."""
        worker = self._find(rank)
        if worker is not None and worker.is_alive and self._board is not None:
            self._board.disturb(worker.order.local_rank, disturbance)

    def kill(self) -> None:
        """Kills all workers; `gone` is set when they have ended."""
        if not self.gone.is_set():
            self._warm.kill(self.number)

    def forked(self, message: messages.Forked) -> None:
        """Notes a worker's process id."""
        worker = self._find(message.rank)
        if message.world == self.number and worker is not None:
            worker.pid = message.pid

    def exited(self, message: messages.Exited) -> None:
        """Passes on a worker's last words and its exit code."""
        worker = self._find(message.rank)
        if message.world != self.number or worker is None or not worker.is_alive:
            return
        worker.is_alive = False
        self._drain(worker)
        self.look()
        ended = agents_pb2.WorkerExited(
            world=self.number, rank=message.rank, exit_code=message.code
        )
        self._send(agents_pb2.AttachRequest(worker_exited=ended))
        if not any(other.is_alive for other in self._workers):
            self._finish()

    def all_gone(self) -> None:
        """The warm process died and took all workers along."""
        for worker in self._workers:
            self.exited(messages.Exited(self.number, worker.order.rank, _SIGKILLED))

    def look(self) -> None:
        """Sends how far the workers are, where that has changed; call it every 50 ms or so."""
        if self._board is None or self.gone.is_set():
            return
        state = self._board.read(), self._stopped()
        if state == self._last_sent:
            return
        self._last_sent = state
        board, stopped = state
        progress = agents_pb2.WorldProgress(
            world=self.number,
            steps=board.steps,
            beats=board.beats,
            stopped=stopped,
            settled=board.is_settled,
        )
        if board.commit_step >= 0:
            progress.commit.step = board.commit_step
            progress.commit.epoch = board.commit_epoch
        self._send(agents_pb2.AttachRequest(world_progress=progress))

    def _stopped(self) -> tuple[int, ...]:
        now = time.monotonic()
        for worker in self._workers:
            if not worker.is_alive or not worker.pid or not is_stopped(worker.pid):
                worker.stopped_since = None
            elif worker.stopped_since is None:
                worker.stopped_since = now
        return tuple(
            worker.order.local_rank
            for worker in self._workers
            if worker.stopped_since is not None and now - worker.stopped_since >= _STOPPED_SECONDS
        )

    def _find(self, rank: int) -> _Worker | None:
        return next((worker for worker in self._workers if worker.order.rank == rank), None)

    def _take_reports(self, worker: _Worker) -> bool:
        data = _read(worker.report)
        for report in worker.parser.feed(data or b""):
            self._send(agents_pb2.AttachRequest(worker_report=report))
        return _keep_reading(worker.report, data)

    def _take_output(self, worker: _Worker) -> bool:
        data = _read(worker.output)
        self._send_lines(worker, worker.cutter.feed(data or b""))
        return _keep_reading(worker.output, data)

    def _send_lines(self, worker: _Worker, lines: Sequence[str]) -> None:
        for line in lines:
            report = agents_pb2.WorkerReport(world=self.number, rank=worker.order.rank)
            report.log_line.severity = event_pb2.SEVERITY_INFO
            report.log_line.source = f"worker-{worker.order.rank}"
            report.log_line.text = line
            self._send(agents_pb2.AttachRequest(worker_report=report))

    def _drain(self, worker: _Worker) -> None:
        """Reads what an ended worker left in its pipes."""
        while self._take_reports(worker):
            continue
        while self._take_output(worker):
            continue
        self._send_lines(worker, worker.cutter.finish())
        loop = asyncio.get_running_loop()
        for descriptor in (worker.report, worker.output):
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _finish(self) -> None:
        self.gone.set()
        newest = 0
        if self._board is not None:
            newest = max(self._board.read().steps)
            self._board.close()
            os.close(self._board_descriptor)
        stopped = agents_pb2.WorldStopped(
            world=self.number, commit=read_commit(self._commit_dir), step=max(newest, 0)
        )
        self._send(agents_pb2.AttachRequest(world_stopped=stopped))


def _read(descriptor: int) -> bytes | None:
    """Returns bytes, nothing at the end of the stream, or None where there is nothing now."""
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, _READ_BYTES)
    return None


def _keep_reading(descriptor: int, data: bytes | None) -> bool:
    if data == b"":  # the reader would be called for ever at the end of the stream
        asyncio.get_running_loop().remove_reader(descriptor)
    return bool(data)
