"""From a pruning under way to those who train its networks."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from aimass.pruner.v1 import pruner_pb2
from common.calls.trainings import RemoteTrainer, TrainerError
from common.runs.owner import RunOwner
from services.pruner.domain.methods import ModelFormat
from services.pruner.domain.specification import FineTuning, Importance, PruningSpecification
from services.pruner.loading import Loaded
from services.pruner.networks import Retraining
from services.pruner.trainings.orders import Order
from services.pruner.trainings.tutor import School

# One that was killed is back by then; else the pruning trains its networks itself for a while.
_PATIENCE_SECONDS = 10.0


def retraining_for(
    owner: RunOwner[pruner_pb2.PruningRun],
    specification: PruningSpecification,
    loaded: Loaded,
    note: Callable[[str], None],
) -> Retraining:
    """Returns how networks are trained again. What earlier attempts left running is cancelled.

    Args:
        owner: The pruning.
        specification: Resolved.
        loaded: What it works with.
        note: Hears why workers did not train, a sentence.
    """
    plain = Retraining(
        specification.fine_tuning or FineTuning(),
        importance=specification.importance or Importance.TAYLOR,
        kept_layers=specification.kept_layers,
    )
    settings = plain.settings
    if loaded.built.format is not ModelFormat.TORCH_PACKAGE or not settings.workers:
        return plain
    order = Order.of(
        built=loaded.built,
        original=loaded.version.name,
        dataset_version=specification.dataset_version,
        row_count=loaded.training_rows,
        model=specification.model,
        workers=settings.workers,
    )
    school = School(owner, RemoteTrainer(patience=_PATIENCE_SECONDS), order, note)
    if owner.attempt > 1:
        with suppress(TrainerError):  # one that is away is asked again before the first training
            school.begin()
    return replace(plain, tutor=school.tutor)
