"""Trains the stages of a run in one world, from where its newest state stands."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, replace

import torch

from aimass.trainer.v1 import agents_pb2
from aimass.type.v1 import event_pb2
from common.artifacts.protocol import ObjectStore
from common.scoring.outlier_uses import Comparison
from services.trainer.domain.objective import Objective, make_objectives
from services.trainer.worker.arithmetic import CPU, Arithmetic, choose_precision
from services.trainer.worker.committing import Committer
from services.trainer.worker.course import Course, Stage
from services.trainer.worker.engine import DivergedError, Engine
from services.trainer.worker.loop import Outcome, TrainingLoop
from services.trainer.worker.performance import performance_message
from services.trainer.worker.process import WorkerPlace
from services.trainer.worker.pupil import Pupil, make_pupil
from services.trainer.worker.reduction.reducer import Reducer
from services.trainer.worker.reporting import beating
from services.trainer.worker.resume import begin
from services.trainer.worker.state import (
    RunState,
    Snapshot,
    StagePlace,
    read_state,
    restore,
    take_snapshot,
)

_log = logging.getLogger(__name__)


class Trainee:
    """A stage with what is being trained."""

    def __init__(
        self,
        stage: Stage,
        pupil: Pupil,
        context: WorkerPlace,
        reducer: Reducer,
        device: torch.device = CPU,
    ) -> None:
        """Puts the parts together, at the beginning of the stage.

        Args:
            stage: The stage.
            pupil: Its network, with the weights that it begins with.
            context: The worker's place in the world.
            reducer: Joined to the world.
            device: Where to compute.
        """
        self.stage = stage
        self.device = device
        specification = stage.job.specification
        assert specification.network is not None
        kind = choose_precision(specification.precision, specification.network, device)
        objectives = make_objectives(
            stage.job.preprocessing.target, specification.loss, stage.rows.class_shares
        )
        self.objective: Objective = objectives.measuring
        self.engine = Engine(
            pupil,
            objectives,
            stage.rows,
            specification,
            reducer,
            context.rank,
            context.size,
            Arithmetic(device, kind),
        )
        self.state = RunState(step=0, sums=[0.0] * self.objective.sums, stage=stage.place)

    def snapshot(self) -> Snapshot:
        """Returns the state of training."""
        return take_snapshot(self.engine, self.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where a snapshot was taken."""
        self.state = restore(self.engine, snapshot).with_sums(self.objective.sums)


class StagedTraining:
    """A run's stages on one worker."""

    def __init__(
        self,
        context: WorkerPlace,
        store: ObjectStore,
        reducer: Reducer,
        course: Course,
        first: Trainee,
    ) -> None:
        """Goes to where the newest state stands, the same on every rank.

        Args:
            context: The worker's place in the world.
            store: Where checkpoints and weights are.
            reducer: Joined to the world.
            course: The run's stages.
            first: The first of them, where a new run begins.
        """
        self._context = context
        self._store = store
        self._device = first.device
        self._reducer = reducer
        self._course = course
        snapshot = begin(first.snapshot, context, store, reducer)
        place = read_state(snapshot).stage
        self._trainee = first if place == first.stage.place else self._trainee_of(place)
        self._trainee.restore(snapshot)
        self._say_where_it_begins()

    def run(self) -> Outcome:
        """Trains to the end of the course.

        Raises:
            DivergedError: The loss is no longer a number.
            HorovodInternalError: Another worker is gone.
            InvalidFieldError: The stage that follows has no row to train on.
        """
        while self._trainee.stage.is_trial:
            self._run_trial()
        comparison = self._course.comparison(self._trainee.stage.place.scores)
        if comparison is not None and self._trainee.state.step == 0:
            self._say(comparison)
        outcome = self._train(self._metrics_report())
        trainee = self._trainee
        performance = performance_message(
            trainee.state.performance,
            trainee.engine.arithmetic,
            self._reducer.transport,
            self._context.began_bytes,
        )
        return replace(outcome, comparison=comparison, performance=performance)

    def _run_trial(self) -> None:
        trainee = self._trainee
        try:
            self._train(None)
        except DivergedError:
            if self._context.rank == 0:
                _log.warning("%s: the model diverged", _title(trainee.stage))
            raise
        place = self._course.after(trainee.stage, self._score(trainee))
        # Rows and network may take half of a worker's memory: they go before the next ones come.
        performance = trainee.state.performance
        del trainee, self._trainee
        with beating(self._context.progress.beat):
            self._trainee = self._trainee_of(self._agree(place))
            self._trainee.state.performance = performance
            mine = self._trainee.snapshot().to_bytes() if self._context.rank == 0 else b""
            self._trainee.restore(Snapshot.from_bytes(self._reducer.broadcast(mine)))

    def _agree(self, place: StagePlace) -> StagePlace:
        """Returns the place of rank 0: what is adopted must not depend on how a sum was rounded."""
        content = self._reducer.broadcast(json.dumps(asdict(place)).encode())
        values = json.loads(content)
        return StagePlace(**{**values, "scores": tuple(values["scores"])})

    def _train(self, report: Callable[[event_pb2.Metrics], None] | None) -> Outcome:
        """Trains the current stage to its end."""
        trainee, context = self._trainee, self._context
        specification = trainee.stage.job.specification
        committer = None
        if context.local_rank == 0:
            # Of each stage its own: it takes the pace of its steps to choose its interval.
            committer = Committer(
                context.commit_dir, specification.commit_steps, context.progress.committed
            )
        return TrainingLoop(
            trainee.engine,
            trainee.state,
            trainee.objective,
            specification,
            context.progress,
            report,
            committer,
        ).run()

    def _score(self, trainee: Trainee) -> float:
        """Returns the monitored metric of the best epoch's weights on the fold held out."""
        state, stage = trainee.state, trainee.stage
        assert state.best_parameters is not None and state.best_buffers is not None
        trainee.engine.flat.take(state.best_parameters, state.best_buffers)
        sums = trainee.engine.measure(stage.held_out, self._context.progress.beat)
        monitor = stage.job.specification.monitor or "loss"
        score = trainee.objective.metrics(sums)[monitor]
        if self._context.rank == 0:
            rows = len(stage.held_out)
            _log.info("%s: %s %.6g on %d rows held out", _title(stage), monitor, score, rows)
        return score

    def _trainee_of(self, place: StagePlace) -> Trainee:
        stage = self._course.stage(place)
        pupil = make_pupil(stage.job, self._store, self._context.rank)
        return Trainee(stage, pupil, self._context, self._reducer, self._device)

    def _metrics_report(self) -> Callable[[event_pb2.Metrics], None] | None:
        """Returns how measured values are reported; None on all ranks but 0."""
        if self._context.rank != 0:
            return None
        return lambda metrics: self._context.report(agents_pb2.WorkerReport(metrics=metrics))

    def _say_where_it_begins(self) -> None:
        if self._context.rank != 0:
            return
        trainee = self._trainee
        _log.info(
            "%d parameters, %d training and %d validation rows, %d workers, %s on %s, from step %d",
            trainee.engine.flat.parameters.numel(),
            len(trainee.stage.rows.training),
            len(trainee.stage.rows.validation),
            self._context.size,
            trainee.engine.arithmetic.kind,
            self._device,
            trainee.state.total_step,
        )

    def _say(self, comparison: Comparison) -> None:
        """Tells the run's watchers what the comparison found, use by use."""
        if self._context.rank != 0:
            return
        for result in comparison.results:
            _log.info(
                "outliers, %s: mean %.6g, difference to KEEP %.6g (standard error %.3g, lower "
                "bound %.6g), %s: %s",
                result.use.upper(),
                result.mean,
                result.difference,
                result.standard_error,
                result.lower_bound,
                "adopted" if result.adopted else "not adopted",
                result.reason,
            )


def _title(stage: Stage) -> str:
    return f"outliers, fold {stage.fold + 1}, {stage.use.upper()}"
