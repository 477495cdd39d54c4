"""Trains networks on the trainer's workers, and in the pruning's own process where it must."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import safetensors.torch
from torch import Tensor, nn

from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.type.v1 import artifact_pb2, run_pb2
from common.artifacts.blobs import put_artifact
from common.calls.catalog import ask_catalog
from common.calls.trainings import ENDED, Trainer, TrainerError, Trainings
from common.models.weights import load_weights
from common.networks.specification import NetworkSpecification
from common.runs.owner import RunOwner
from services.pruner.domain.tuning import OwnTutor, Plan, strength_of
from services.pruner.trainings.orders import Order

LABEL = "pruning-run"
"""Label of the trainings that belong to a pruning: its id."""

_LOOK_SECONDS = 0.3
_FREE_SECONDS = 5.0
_AWAY_SECONDS = 60.0
_OVERHEAD_SECONDS = 5.0
_DOUBT = 4.0  # estimates are of a machine with nothing else to do
_TENSORS = "application/vnd.safetensors"


class NoTrainingError(Exception):
    """Workers did not train: one sentence."""


@dataclass
class School:
    """The trainer's workers, as a pruning has them.

    Attributes:
        owner: The pruning.
        trainer: Who trains.
        order: What all trainings have in common.
        note: Hears why workers did not train, a sentence.
        away_until: A trainer that could not be asked is done without until then, on the monotonic
            clock.
    """

    owner: RunOwner[pruner_pb2.PruningRun]
    trainer: Trainer
    order: Order
    note: Callable[[str], None]
    away_until: float = 0.0

    def __post_init__(self) -> None:
        """Has not trained yet."""
        owner = self.owner
        self._trainings = Trainings(self.trainer, LABEL, owner.name, owner.run.labels)
        self._has_begun = False
        self._count = 0

    def begin(self) -> None:
        """Cancels what an earlier attempt has left running, once."""
        if not self._has_begun:
            self._trainings.leave_no_other()
            self._has_begun = True

    def tutor(self, own: OwnTutor) -> "WorkersTutor":
        """Returns a tutor.

        Args:
            own: Trains where workers cannot; its rate and batches go for them as well.
        """
        return WorkersTutor(self, own)

    def taught(
        self, network: nn.Module, specification: NetworkSpecification, plan: Plan, own: OwnTutor
    ) -> trainer_pb2.TrainingRun:
        """Trains a network on workers. Returns the training, which has succeeded.

        Raises:
            NoTrainingError: It came to nothing; says why.
        """
        end = time.monotonic() + plan.seconds
        try:
            self.begin()
            free = self._free_workers(min(_FREE_SECONDS, plan.seconds / 4))
            spec = self._spec(network, specification, plan, own)
            # More are taken once they are free; none are waited for.
            spec.workers.wanted = min(free, spec.workers.max)
            spec.epochs = self._epochs(spec, end - time.monotonic())
            self._add_decay(spec, plan, own)
            return self._followed(self._trainings.create(spec), end)
        except TrainerError as error:
            self.away_until = time.monotonic() + _AWAY_SECONDS
            raise NoTrainingError(str(error)) from None
        finally:
            self._trainings.cancel()

    def _free_workers(self, seconds: float) -> int:
        """Returns how many workers are free, as soon as one is."""
        end = time.monotonic() + seconds
        while not (free := self.trainer.idle_slots()):
            if time.monotonic() > end:
                raise NoTrainingError("No worker of the trainer was free.")
            self._pause()
        return free

    def _pause(self) -> None:
        self.owner.check_cancelled()
        self.owner.cancelled.wait(_LOOK_SECONDS)

    def _spec(
        self, network: nn.Module, specification: NetworkSpecification, plan: Plan, own: OwnTutor
    ) -> trainer_pb2.TrainingSpec:
        self._count += 1
        weights = self._put("weights", network.state_dict())
        return self.order.spec(specification, weights, own.examples, round(plan.epochs), plan.seed)

    def _put(self, name: str, tensors: Mapping[str, Tensor]) -> artifact_pb2.ArtifactRef:
        key = f"{self.owner.attempt_prefix}trainings/{self._count}/{name}.safetensors"
        content = safetensors.torch.save({key: each.contiguous() for key, each in tensors.items()})
        return put_artifact(self.owner.store, key, content, _TENSORS)

    def _epochs(self, spec: trainer_pb2.TrainingSpec, seconds: float) -> int:
        """Returns for how many epochs there is time, at most those of the specification."""
        estimated = self.trainer.estimate(self._trainings.run(spec))
        each = _DOUBT * estimated / spec.epochs
        epochs = min(spec.epochs, int((seconds - _OVERHEAD_SECONDS) / max(each, 1e-6)))
        if epochs < 1:
            raise NoTrainingError("There was too little time for a training on the workers.")
        return epochs

    def _add_decay(self, spec: trainer_pb2.TrainingSpec, plan: Plan, own: OwnTutor) -> None:
        if not plan.vanishing:
            return
        steps = self.order.steps(spec.epochs, own.examples)
        strength = strength_of(own.examples.rate, steps)
        strengths = {name: strength * each for name, each in plan.vanishing.items()}
        spec.growing_decay.strengths.CopyFrom(self._put("strengths", strengths))

    def _followed(self, run: trainer_pb2.TrainingRun, end: float) -> trainer_pb2.TrainingRun:
        """Returns a training at its end."""
        self.owner.log(f"{run.name} trains for {run.spec.epochs} epochs.", source="training")
        while run.status.state not in ENDED:
            if time.monotonic() > end:
                raise NoTrainingError(f"{run.name} took too long.")
            self._pause()
            run = self.trainer.get(run.name)
        self._trainings.ended()
        if run.status.state != run_pb2.RUN_STATE_SUCCEEDED:
            why = run.status.error.message or "It was cancelled."
            raise NoTrainingError(f"{run.name} gave no network: {why}")
        self.owner.metrics(dict(run.metrics), epoch=run.best_epoch)
        return run


@dataclass(frozen=True)
class WorkersTutor:
    """Trains on workers, and in this process where that cannot be; see `Tutor`.

    Attributes:
        school: The workers.
        own: Trains in this process.
    """

    school: School
    own: OwnTutor

    def train(
        self, network: nn.Module, specification: NetworkSpecification, what: str, plan: Plan
    ) -> str:
        """Trains a network; see `Tutor`."""
        begun = time.monotonic()
        run = self._taught(network, specification, what, plan)
        if run is None:
            left = max(plan.seconds - (time.monotonic() - begun), 1.0)
            return self.own.train(network, specification, what, replace(plan, seconds=left))
        version = ask_catalog(lambda catalog: catalog.model_version(run.model_version))
        load_weights(network, version, self.school.owner.store)
        network.eval()
        rows = self.school.order.row_count
        told = f"for {run.best_epoch} epochs of {rows:,} rows"
        return f"{told} on the trainer's workers ({run.name})"

    def _taught(
        self, network: nn.Module, specification: NetworkSpecification, what: str, plan: Plan
    ) -> trainer_pb2.TrainingRun | None:
        if time.monotonic() < self.school.away_until:
            return None
        try:
            return self.school.taught(network, specification, plan, self.own)
        except NoTrainingError as error:
            self.school.note(
                f"{error} The training of `{what}` takes place in the pruning's own process "
                f"instead, on {self.own.examples.count:,} rows."
            )
            return None
