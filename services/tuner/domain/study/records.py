"""What is known of each trial of a study."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.study.objective import Objective, losses_of


class TrialState(StrEnum):
    """What became of a trial."""

    RUNNING = "running"
    """Was given out; its intermediate values count for pruning, its parameters as pending."""
    COMPLETED = "completed"
    """Has a value for each objective."""
    PRUNED = "pruned"
    """Was given up early; its last intermediate value says how bad it was."""
    FAILED = "failed"
    """Has no value: what is near it is avoided."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial: given out by the study, or given to it for a warm start.

    Attributes:
        number: Unique in its study; trials are numbered in the order in which they were given out.
        parameters: What was tried.
        state: What became of it.
        values: One for each objective, in their order; empty unless completed.
        intermediate: Values of the first objective by step; steps count from 0.
        violations: One for each constraint that is only known afterwards (memory, latency): at most
            0 where it holds, else by how much it is broken. Empty where there are none.
        cost: What it took, for instance seconds; 0 where that does not matter.
    """

    number: int
    parameters: Configuration
    state: TrialState = TrialState.COMPLETED
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    violations: tuple[float, ...] = ()
    cost: float = 0.0

    @property
    def violation(self) -> float:
        """How much constraints are broken in all; 0 where all hold."""
        return sum(max(each, 0.0) for each in self.violations)

    @property
    def counts(self) -> bool:
        """Whether it may be the best: it completed and keeps all constraints."""
        is_kept = all(each <= 0 for each in self.violations)
        return self.state is TrialState.COMPLETED and is_kept

    @property
    def last(self) -> float | None:
        """The intermediate value of the last step; None where there is none."""
        return self.intermediate[max(self.intermediate)] if self.intermediate else None


def record_problems(record: TrialRecord, objectives: Sequence[Objective]) -> list[str]:
    """Returns what is wrong with what was told of a trial, in sentences that name the cure.

    Its parameters are for `Space.problems` to check.
    """
    found = []
    if record.state is TrialState.COMPLETED:
        if len(record.values) != len(objectives):
            names = ", ".join(each.name for each in objectives)
            found.append(
                f"{len(record.values)} values were told: give one for each objective ({names}), "
                "or say that the trial failed."
            )
        for objective, value in zip(objectives, record.values, strict=False):
            if not math.isfinite(value):
                found.append(
                    f"{objective.name} is {value!r}: give a finite number, or say that the trial "
                    "failed."
                )
    elif record.values:
        found.append(f"Values were told of a trial that is {record.state}: leave them out.")
    found += [f"Step {step} is below 0: count from 0." for step in record.intermediate if step < 0]
    if any(math.isnan(each) for each in record.violations):
        found.append("A violation is not a number: give 0 where the constraint holds.")
    if not (math.isfinite(record.cost) and record.cost >= 0):
        found.append(f"The cost is {record.cost!r}: give a finite number, 0 or more.")
    return found


def best_of(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> TrialRecord | None:
    """Returns the completed trial with the best first objective; None where there is none.

    Of equal ones it is the earliest. With several objectives see `front.pareto_front`.
    """
    counting = [each for each in records if each.counts]
    return min(
        counting,
        key=lambda each: (losses_of(objectives, each.values)[0], each.number),
        default=None,
    )
