"""How long a training lasts whose length nobody gave."""

from services.trainer.domain.estimate import steps_per_epoch
from services.trainer.domain.optimisation import EarlyStopping
from services.trainer.domain.specification import TrainingSpecification

USUAL_STEPS = 1_000
LEAST_EPOCHS, MOST_EPOCHS = 10, 100
_PATIENCE_SHARE, _LEAST_PATIENCE = 5, 5


def with_usual_length(
    specification: TrainingSpecification, rows: int, *, is_validated: bool
) -> TrainingSpecification:
    """Returns a specification with as many epochs as make about 1,000 steps, 10 to 100.

    Few rows are a step or two of an epoch: ten epochs of them leave a network untrained. What is
    validated may end sooner, unless the learning rate is to fall over the whole run.

    Args:
        specification: Its epochs are left open.
        rows: Training rows.
        is_validated: Whether there are rows to validate on.
    """
    steps = steps_per_epoch(rows, specification.batch_size)
    epochs = min(max(-(-USUAL_STEPS // steps), LEAST_EPOCHS), MOST_EPOCHS)
    stopping, schedule = specification.early_stopping, specification.schedule
    falls = schedule.cosine_decay or schedule.one_cycle is not None
    if stopping is None and is_validated and not falls and specification.monitor != "none":
        stopping = EarlyStopping(patience=max(epochs // _PATIENCE_SHARE, _LEAST_PATIENCE))
    return specification.model_copy(update={"epochs": epochs, "early_stopping": stopping})
