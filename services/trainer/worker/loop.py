"""Epochs: steps, validation, schedule, early stopping, commits, reports."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1 import event_pb2
from common.scoring.outlier_uses import Comparison
from services.trainer.domain.objective import Objective
from services.trainer.domain.schedule import Schedule
from services.trainer.domain.specification import LARGER_IS_BETTER, TrainingSpecification
from services.trainer.worker.committing import Committer
from services.trainer.worker.engine import Engine
from services.trainer.worker.performance import WARMING_STEPS
from services.trainer.worker.state import RunState, Snapshot, take_snapshot

REPORT_SECONDS = 1.0
"""Time between reports within an epoch."""
DENSE_EPOCHS = 1_000
"""Runs of more epochs do not report each one that is shorter than `SPARSE_SECONDS`."""
SPARSE_SECONDS = 0.1


class Board(Protocol):
    """Where a worker says how far it is; see `ProgressBoard`."""

    def finish_step(self, step: int) -> None:
        """Says that a step is done."""

    def beat(self) -> None:
        """Gives a sign of life."""

    def commit_requested(self) -> bool:
        """Returns whether a commit is wanted at the next step."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        step: Steps done since the start of the run.
        epochs: Epochs done.
        best_epoch: Epoch of the best weights.
        metrics: Metrics of that epoch.
        stopped_early: Whether early stopping, or the end of its time, ended it.
        comparison: How the uses of an outlier scan compared; None where they were not compared.
        uncommitted: The last state, where it could not be committed; else None.
        performance: What the steps took; None where nobody counted.
    """

    step: int
    epochs: int
    best_epoch: int
    metrics: dict[str, float]
    stopped_early: bool
    comparison: Comparison | None = None
    uncommitted: Snapshot | None = None
    performance: agents_pb2.WorkerPerformance | None = field(default=None, compare=False)


class TrainingLoop:
    """Trains from where the state stands to the end."""

    def __init__(
        self,
        engine: Engine,
        state: RunState,
        objective: Objective,
        specification: TrainingSpecification,
        board: Board,
        report: Callable[[event_pb2.Metrics], None] | None,
        committer: Committer | None,
    ) -> None:
        """Puts the parts together.

        Args:
            engine: Restored to `state`.
            state: Where the run stands; changed as it goes on.
            objective: What the network is trained for.
            specification: Resolved.
            board: Told of every step.
            report: Takes measured values; None on all ranks but 0.
            committer: Writes commits; None on all but one worker of a host.
        """
        self._engine = engine
        self._state = state
        self._objective = objective
        self._specification = specification
        self._board = board
        self._report = report
        self._committer = committer
        self._schedule = Schedule(specification, engine.steps_per_epoch)
        self._meter = _Meter()
        self._steps = 0
        self._epoch_begun = time.perf_counter()

    def run(self) -> Outcome:
        """Trains to the last epoch, or until early stopping.

        Raises:
            DivergedError: The loss is no longer a number.
            HorovodInternalError: Another worker is gone.
        """
        state = self._state
        self._repeat_reports()
        last = self._specification.epochs * self._engine.steps_per_epoch
        while state.step < last and not state.progress.stopped_early:
            self._step()
        uncommitted = None
        if self._committer is not None:
            snapshot = take_snapshot(self._engine, state)
            if not self._committer.commit(snapshot):
                uncommitted = snapshot
        return Outcome(
            step=state.total_step,
            epochs=len(state.history),
            best_epoch=state.progress.best_epoch,
            metrics=state.best_metrics,
            stopped_early=state.progress.stopped_early,
            uncommitted=uncommitted,
        )

    def _repeat_reports(self) -> None:
        """Reports again the epochs before the commit: a coordinator may have died with its news.

        The coordinator drops what it has passed on already.
        """
        if self._report is None:
            return
        epochs = list(enumerate(self._state.history, start=1))
        for epoch, values in epochs[-DENSE_EPOCHS:]:
            named = dict(zip(self._state.names, values, strict=True))
            step = epoch * self._engine.steps_per_epoch
            self._report(event_pb2.Metrics(epoch=epoch, step=step, values=named))

    def _step(self) -> None:
        begun = time.perf_counter()
        state = self._state
        rate = self._schedule.learning_rate(state.step, state.progress)
        self._engine.wants_commit = self._is_commit_due()
        sums = self._engine.step(state.step, rate)
        state.sums = [total + value for total, value in zip(state.sums, sums, strict=True)]
        state.step += 1
        self._count_step(time.perf_counter() - begun)
        if state.step % self._engine.steps_per_epoch == 0:
            self._finish_epoch(rate)
        elif self._report is not None and self._meter.age() > REPORT_SECONDS:
            self._send(self._training_metrics(rate), self._epoch())
        self._board.finish_step(state.total_step)
        self._commit_if_due()
        state.performance.seconds += time.perf_counter() - begun

    def _count_step(self, seconds: float) -> None:
        rows = self._engine.rows_of(self._state.step - 1)
        self._meter.rows += rows
        self._steps += 1
        if self._steps > WARMING_STEPS:
            engine = self._engine
            self._state.performance.note_step(rows, seconds, engine.waited, engine.workers)

    def _finish_epoch(self, rate: float) -> None:
        state = self._state
        values = self._training_metrics(rate)
        measured = self._objective.metrics(state.sums)
        if self._engine.has_validation:
            measured = self._objective.metrics(self._engine.evaluate(self._board.beat))
            values |= {f"validation/{name}": value for name, value in measured.items()}
        epoch = self._epoch()
        if self._schedule.finish_epoch(epoch, self._score(measured), state.progress):
            state.best_parameters, state.best_buffers = self._engine.result()
        self._note_time(epoch)
        state.add_epoch(values)
        state.sums = [0.0] * len(state.sums)
        if self._is_worth_a_report():
            self._send(values, epoch)

    def _score(self, measured: dict[str, float]) -> float:
        """Returns what is monitored; lower is better."""
        monitor = self._specification.monitor
        value = measured["loss" if monitor in (None, "none") else monitor]
        return -value if monitor in LARGER_IS_BETTER else value

    def _note_time(self, epoch: int) -> None:
        """Says how long the epoch took; rank 0 counts, so that all stop at the same one."""
        if self._schedule.is_timed:
            now = time.perf_counter()
            taken, self._epoch_begun = now - self._epoch_begun, now
            self._schedule.note_time(epoch, self._engine.agreed(taken), self._state.progress)

    def _epoch(self) -> int:
        """Returns the epoch of the step that was just done, from 1."""
        return -(-self._state.step // self._engine.steps_per_epoch)

    def _training_metrics(self, rate: float) -> dict[str, float]:
        metrics = self._objective.metrics(self._state.sums)
        values = {f"train/{name}": value for name, value in metrics.items()}
        return values | {"learning_rate": rate, "rows_per_second": self._meter.rate()}

    def _is_worth_a_report(self) -> bool:
        is_last = self._epoch() == self._specification.epochs or self._state.progress.stopped_early
        is_dense = self._specification.epochs <= DENSE_EPOCHS
        return is_last or is_dense or self._meter.age() > SPARSE_SECONDS

    def _send(self, values: dict[str, float], epoch: int) -> None:
        self._meter.restart()
        if self._report is not None:
            self._report(event_pb2.Metrics(epoch=epoch, step=self._state.step, values=values))

    def _is_commit_due(self) -> bool:
        """Returns whether all are to commit after the next step.

        One worker decides: hosts that commit at the same step hold up the world once, not each.
        """
        committer = self._committer if self._engine.is_first else None
        return committer is not None and committer.is_due(self._state.total_step + 1)

    def _commit_if_due(self) -> None:
        if self._committer is None:
            return
        if self._engine.is_commit_wanted or self._board.commit_requested():
            begun = time.perf_counter()
            self._committer.commit(take_snapshot(self._engine, self._state))
            self._state.performance.commit_seconds += time.perf_counter() - begun


class _Meter:
    """Counts rows and time since the last report."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.rows = 0
        self._start = time.perf_counter()

    def age(self) -> float:
        return time.perf_counter() - self._start

    def rate(self) -> float:
        return self.rows / max(self.age(), 1e-9)
