"""Whether a trial is so much worse than others that it may end early."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.tuner.domain.study.objective import Objective
from services.tuner.domain.study.records import TrialRecord, TrialState


class Pruner(StrEnum):
    """How trials are compared while they run."""

    NONE = "none"
    """No trial ends early."""
    ASHA = "asha"
    """At steps that grow by a factor only the best share goes on (Li et al. 2020)."""
    MEDIAN = "median"
    """A trial ends whose best value is worse than the median of others at the same step."""


@dataclass(frozen=True)
class Pruning:
    """A pruner and its settings.

    Attributes:
        pruner: How trials are compared.
        least: First step (counted from 1: after so many steps) at which a trial may end, and for
            ASHA the first rung; at least 1.
        factor: Of ASHA: each rung has so many times the steps of the one before, and one trial of
            so many goes on; at least 2.
        startup: Of the median: so many trials must have completed before any ends.
    """

    pruner: Pruner = Pruner.NONE
    least: int = 1
    factor: int = 4
    startup: int = 5

    def flaws(self, objectives: Sequence[Objective]) -> list[str]:
        """Returns what is wrong with it, in sentences that name the cure."""
        if self.pruner is Pruner.NONE:
            return []
        found = []
        if len(objectives) > 1:
            found.append("Trials with several objectives are not pruned: give the pruner none.")
        if self.least < 1:
            found.append(f"The least step is {self.least}: give 1 or more.")
        if self.factor < 2:
            found.append(f"The reduction factor is {self.factor}: give 2 or more.")
        if self.startup < 0:
            found.append(f"{self.startup} trials to start with: give 0 or more.")
        return found


def should_prune(
    records: Sequence[TrialRecord],
    trial: TrialRecord,
    step: int,
    pruning: Pruning,
    objective: Objective,
) -> bool:
    """Returns whether a trial may end; the same answer for the same arguments.

    Ask after each step that was told. A value that is not a number ends any trial, whatever the
    others did, unless the pruner is `none`.

    Args:
        records: All trials, running ones with what they have told so far; the trial itself may be
            among them, and is left out by its number.
        trial: With its intermediate values, that of the step included.
        step: The last one it told, from 0.
        pruning: How.
        objective: What intermediate values are of.
    """
    if pruning.pruner is Pruner.NONE or step not in trial.intermediate:
        return False
    if math.isnan(trial.intermediate[step]):
        return True
    others = [each for each in records if each.number != trial.number]
    if pruning.pruner is Pruner.ASHA:
        return _is_below_rung(others, trial, step, pruning, objective)
    return _is_below_median(others, trial, step, pruning, objective)


def _is_below_rung(
    others: Sequence[TrialRecord],
    trial: TrialRecord,
    step: int,
    pruning: Pruning,
    objective: Objective,
) -> bool:
    rung = _rung(step + 1, pruning)
    if rung is None or any(rung <= other + 1 <= step for other in trial.intermediate):
        # It was decided at the first step on the rung.
        return False
    own = _loss_at(trial, rung, objective)
    losses = [loss for each in others if (loss := _loss_at(each, rung, objective)) is not None]
    going_on = (len(losses) + 1) // pruning.factor
    if own is None or not losses:
        return False
    # With fewer trials than the factor the best of them goes on.
    return sum(loss < own for loss in losses) >= max(going_on, 1)


def _rung(steps: int, pruning: Pruning) -> int | None:
    """Returns the last rung that so many steps reach; None where they reach none."""
    if steps < pruning.least:
        return None
    rung = pruning.least
    while rung * pruning.factor <= steps:
        rung *= pruning.factor
    return rung


def _loss_at(record: TrialRecord, rung: int, objective: Objective) -> float | None:
    """Returns the loss at the first step on a rung; None where the trial has not reached it."""
    steps = [step for step in record.intermediate if step + 1 >= rung]
    if not steps:
        return None
    loss = objective.loss(record.intermediate[min(steps)])
    return math.inf if math.isnan(loss) else loss


def _is_below_median(
    others: Sequence[TrialRecord],
    trial: TrialRecord,
    step: int,
    pruning: Pruning,
    objective: Objective,
) -> bool:
    completed = [each for each in others if each.state is TrialState.COMPLETED]
    if step + 1 < pruning.least or len(completed) < max(pruning.startup, 1):
        return False
    losses = [
        loss
        for each in completed
        if (loss := _best_until(each, step, objective)) is not None
        and step <= max(each.intermediate)
    ]
    own = _best_until(trial, step, objective)
    return own is not None and bool(losses) and own > statistics.median(losses)


def _best_until(record: TrialRecord, step: int, objective: Objective) -> float | None:
    values = [value for place, value in record.intermediate.items() if place <= step]
    losses = [objective.loss(value) for value in _extremes(values)]
    return min(losses, default=None)


def _extremes(values: Sequence[float]) -> tuple[float, ...]:
    """Returns the smallest and the largest number; none where there are none."""
    numbers = [value for value in values if not math.isnan(value)]
    return (min(numbers), max(numbers)) if numbers else ()
