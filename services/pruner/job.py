"""Entry point of a pruning's own process: `python -m services.pruner.job RUN | --standby`."""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aimass.pruner.v1 import pruner_pb2
from aimass.type.v1 import event_pb2
from common.calls.catalog import ask_catalog
from common.errors import DataLossError, FailedPreconditionError, InvalidFieldError
from common.models.inputs import MisfitError
from common.models.outputs import UnknownOutputsError
from common.runs.errors import RunCancelledError
from common.runs.job import run_job
from common.runs.owner import RunOwner
from common.runs.scratch import scratch_folder
from common.scoring.registry import metric_for
from services.pruner.convert import specification_from_proto
from services.pruner.domain.front import recommended
from services.pruner.domain.judging import Judge
from services.pruner.domain.search import Goal, Measured, Step, search
from services.pruner.domain.variants import ORIGINAL, Variant
from services.pruner.graph_costs import COUNTED_ROWS, GraphCosts
from services.pruner.kind import PRUNING_RUNS
from services.pruner.loading import Loaded, load
from services.pruner.making import Workshop
from services.pruner.measuring.measuring import CannotMeasureError, Measuring
from services.pruner.measuring.order import Costs
from services.pruner.networks import Aim
from services.pruner.outcome import Outcome
from services.pruner.publication import publish
from services.pruner.recording import Recording, measured_of
from services.pruner.trainings.opening import retraining_for

Owner = RunOwner[pruner_pb2.PruningRun]

_log = logging.getLogger(__name__)

_CURE = "make room there, or set TMPDIR to a folder with room, and prune again"
_LOADED, _SEARCHED = 0.05, 0.95
_STEP_SHARE, _LATEST_STEP = 0.4, 0.8
_MEASURING_SHARE, _LONGEST_MEASURING = 0.01, 3.0
_FAILURES = (ValueError, ArithmeticError, MemoryError, DataLossError, InvalidFieldError)
"""Of a method: it cannot do it, or what it made cannot be kept."""
_UNMEASURED = (CannotMeasureError, MisfitError, UnknownOutputsError)
"""Of a model: it answers the rows with nothing that is known, or ends where it is measured."""
_WARNING = event_pb2.SEVERITY_WARNING
_CANCELLED = "The pruning was cancelled: this was measured by then; a point can still be applied."


def run_pruning(owner: Owner) -> None:
    """Makes a model smaller as the run asks for, and publishes what was measured."""
    with scratch_folder("pruning", owner.run, None, _CURE) as folder:
        owner.progress(0.0, "loading")
        loaded = _load(owner)
        target, check = specification_from_proto(owner.run.spec).target, owner.check_cancelled
        with Measuring(folder, target, loaded.built, loaded.judging.rows, check) as measuring:
            _Pruning(owner, loaded, measuring, folder).work()


def _load(owner: Owner) -> Loaded:
    names = specification_from_proto(owner.run.spec)
    version = ask_catalog(lambda catalog: catalog.model_version(names.model_version))
    data = ask_catalog(lambda catalog: catalog.dataset_version(names.dataset_version))
    return load(names, version, data, owner.store, owner.check_cancelled)


class _Pruning:
    """One attempt. What steps of earlier ones gave is taken from the store."""

    def __init__(self, owner: Owner, loaded: Loaded, measuring: Measuring, folder: Path) -> None:
        self._owner = owner
        self._loaded = loaded
        self._measuring = measuring
        self._specification = specification_from_proto(owner.run.spec)
        specification, question = self._specification, loaded.question
        self._metric = metric_for(question.kind, specification.metric)
        self._judge = Judge(
            metric=self._metric,
            question=question,
            original=self._loaded.built,
            choosing=self._loaded.choosing,
            judging=self._loaded.judging,
            confidence=specification.confidence,
            seed=specification.seed,
        )
        self._workshop = Workshop(
            loaded=loaded,
            metric=self._metric,
            seed=specification.seed,
            aim=Aim(specification.gain, specification.target.batch_size),
            check=owner.check_cancelled,
            tell=self._tell,
            retraining=retraining_for(owner, specification, loaded, self._note),
        )
        self._recording = Recording(owner.store, owner.name, self._loaded.version)
        self._graphs = GraphCosts(loaded, specification.target, folder)
        self._costs: dict[str, Costs] = {}
        self._notes: list[str] = []

    def work(self) -> None:
        """Searches, and publishes what was found."""
        specification = self._specification
        original = self._original()
        most_loss = specification.max_loss
        if most_loss is None:
            most_loss = self._judge.accepted_loss()
        goal = Goal(specification.gain, most_loss, specification.methods)
        searched = search(original, goal, self, self._is_over)
        self._tell_untried(searched.untried)
        points = [each.point for each in searched.found]
        choice = recommended(points, original.point, specification.gain, most_loss)
        chosen = next(each for each in searched.found if each.variant.name == choice.point.name)
        publish(
            self._owner,
            Outcome(
                specification=specification,
                loaded=self._loaded,
                metric=self._metric,
                most_loss=most_loss,
                found=searched.found,
                costs=self._costs,
                choice=choice,
                notes=tuple(self._notes),
                times={
                    each.variant.name: self._graphs.node_times(each.variant.built)
                    for each in (original, chosen)
                },
            ),
        )

    def _original(self) -> Measured:
        """Returns the model as it was, measured.

        Raises:
            FailedPreconditionError: It cannot be measured: its weights are no numbers, for example.
        """
        model, data = self._specification.model_version, self._specification.dataset_version
        try:
            measured = self._measured(Variant(ORIGINAL, self._loaded.built))
        except _UNMEASURED as error:
            raise FailedPreconditionError(
                f"{model} cannot be judged on {data}: {str(error).rstrip('.')}. Prune a version "
                "that answers these rows with numbers.",
                reason="MODEL_NOT_MEASURABLE",
            ) from error
        if self._specification.gain not in measured.point.costs:
            raise FailedPreconditionError(
                f"The {self._specification.gain} of {model} cannot be counted, for it takes more "
                f"rows at once than {COUNTED_ROWS}. Let latency, size or memory be the gain.",
                reason="MODEL_NOT_MEASURABLE",
            )
        return measured

    def done(self, step: Step) -> Sequence[Measured] | None:
        """Returns what came of a step in an attempt before; see `Work`."""
        known = self._recording.read(step)
        if known is None:
            return None
        self._owner.log(f"{step.method} of {step.base} is known from before.", source="search")
        self._costs |= {each.variant.name: costs for each, costs in known}
        return [each for each, _ in known]

    def do(self, step: Step, base: Variant) -> Sequence[Measured]:
        """Does a step and keeps what came of it; see `Work`."""
        self._owner.log(f"{step.method} is tried on {step.base}.", source="search")
        made: list[tuple[Measured, Costs]] = []
        try:
            for variant in self._workshop.variants(base, step.method, _STEP_SHARE * self._left):
                if made and self._spent > self._specification.budget:
                    self._note(self._too_short(f"{variant.name} was measured"))
                    break
                self._progress(step.method, f"{variant.name} is measured")
                made += self._tried(variant)
        except RunCancelledError:
            pass  # What was measured by then is kept; the search ends after this step.
        except _FAILURES as error:
            # One method that fails costs itself alone: others may still gain.
            self._fails(f"{step.method} of {step.base}", error)
        self._recording.keep(step, made)
        self._costs |= {each.variant.name: costs for each, costs in made}
        return [each for each, _ in made]

    def _tried(self, variant: Variant) -> list[tuple[Measured, Costs]]:
        """Returns a variant with what was measured of it; nothing where that cannot be."""
        try:
            measured = self._measured(variant)
        except _UNMEASURED as error:
            self._fails(variant.name, error)
            return []
        loss, gain = measured.judgement.loss, self._specification.gain
        cost = measured.point.costs[gain]
        self._owner.log(
            f"{variant.name}: loses {loss.value:.4g} {self._metric.name} ({loss.low:.4g} to "
            f"{loss.high:.4g}), {cost:.4g} of {gain} are left.",
            source="search",
        )
        return [(measured, self._costs[variant.name])]

    def _measured(self, variant: Variant) -> Measured:
        self._owner.check_cancelled()
        judgement = self._judge.judgement(variant.built)
        budget = self._specification.budget
        seconds = min(_MEASURING_SHARE * budget, _LONGEST_MEASURING)
        costs = self._measuring.costs(variant.built, seconds)
        costs = replace(costs, multiplications=self._graphs.multiplications(variant.built))
        self._costs[variant.name] = costs
        return measured_of(variant, judgement, costs)

    def _fails(self, what: str, error: Exception) -> None:
        _log.warning("%s failed", what, exc_info=error)
        told = f"{what} failed: {str(error).strip().rstrip('.') or type(error).__name__}."
        self._note(told)

    def _tell_untried(self, step: Step | None) -> None:
        if self._owner.cancelled.is_set():
            self._note(_CANCELLED)
        elif step is not None:
            self._note(self._too_short(f"{step.method} was tried on {step.base}"))

    def _too_short(self, undone: str) -> str:
        budget = self._specification.budget
        return f"The time was over before {undone}: give the pruning more than {budget:g} s."

    def _tell(self, told: str) -> None:
        self._owner.log(told, source="search")

    def _note(self, told: str) -> None:
        self._notes.append(told)
        self._owner.log(told, _WARNING, source="search")

    @property
    def _spent(self) -> float:
        begun = self._owner.run.status.start_time.ToNanoseconds() / 1e9
        return max(time.time() - begun, 0.0)

    @property
    def _left(self) -> float:
        return max(self._specification.budget - self._spent, 1.0)

    def _is_over(self) -> bool:
        has_tried = len(self._costs) > 1  # on a busy machine the original alone may take the time
        is_late = self._spent > _LATEST_STEP * self._specification.budget
        return (has_tried and is_late) or self._owner.cancelled.is_set()

    def _progress(self, phase: str, message: str) -> None:
        share = min(self._spent / self._specification.budget, 1.0)
        done = _LOADED + (_SEARCHED - _LOADED) * share
        self._owner.progress(done, phase, message, self._left)


def main() -> int:
    """Works on one pruning; returns the exit code of the process."""
    return run_job(PRUNING_RUNS, run_pruning)


if __name__ == "__main__":
    sys.exit(main())
