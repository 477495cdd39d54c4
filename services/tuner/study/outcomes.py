"""What comes of trials: whether it can be, and what it makes of them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aimass.tuner.v1 import study_pb2
from common.errors import FieldViolation
from common.wording import quoted
from services.tuner.study.convert import Problem

_LONGEST = 1_000
_MOST_NAMES = 3


@dataclass(frozen=True)
class Outcome:
    """What was told of a trial.

    Attributes:
        values: What was measured, by name.
        failure: Why there are no values.
        pruned: Whether it was given up early.
        cost: What it took.
    """

    values: Mapping[str, float]
    failure: str = ""
    pruned: bool = False
    cost: float = 0.0

    @property
    def state(self) -> study_pb2.TrialState.ValueType:
        """Where the trial stands then."""
        if self.pruned:
            return study_pb2.TRIAL_STATE_PRUNED
        return study_pb2.TRIAL_STATE_FAILED if self.failure else study_pb2.TRIAL_STATE_COMPLETED

    def fill(self, trial: study_pb2.Trial) -> None:
        """Makes it the outcome of a trial."""
        trial.state = self.state
        trial.values.clear()
        trial.values.update(self.values)
        trial.failure, trial.cost = self.failure, self.cost
        trial.end_time.GetCurrentTime()
        trial.ClearField("lease_expire_time")

    def is_of(self, trial: study_pb2.Trial) -> bool:
        """Whether it is what a trial came to already."""
        return (trial.state, dict(trial.values), trial.failure, trial.cost) == (
            self.state,
            dict(self.values),
            self.failure,
            self.cost,
        )


def outcome_violations(
    problem: Problem, outcome: Outcome, prefix: str = ""
) -> Iterator[FieldViolation]:
    """Yields what is wrong with an outcome.

    Args:
        problem: Of the study.
        outcome: Of the trial.
        prefix: Path of the message that it is in, with a dot.
    """
    if bool(outcome.values) + bool(outcome.failure) + outcome.pruned != 1:
        names = ", ".join(problem.measured)
        yield FieldViolation(
            f"{prefix}values",
            f"Give either values ({names}), or a `failure`, or `pruned`, and one of them alone.",
        )
        return
    if outcome.values:
        yield from _value_violations(problem, outcome.values, prefix)
    if len(outcome.failure) > _LONGEST:
        yield FieldViolation(f"{prefix}failure", f"must have at most {_LONGEST:,} characters.")
    if not (math.isfinite(outcome.cost) and outcome.cost >= 0):
        yield FieldViolation(f"{prefix}cost", "must be a finite number, 0 or more.")


def _value_violations(
    problem: Problem, values: Mapping[str, float], prefix: str
) -> Iterator[FieldViolation]:
    for name in problem.measured:
        if name not in values:
            yield FieldViolation(f"{prefix}values", f"{name} is missing: give a number.")
        elif not math.isfinite(values[name]):
            yield FieldViolation(
                f'{prefix}values["{name}"]',
                f"is {values[name]!r}: give a finite number, or tell a `failure` instead.",
            )
    unknown = sorted(set(values) - set(problem.measured))
    if unknown:
        names = ", ".join(map(quoted, unknown[:_MOST_NAMES]))
        known = ", ".join(problem.measured)
        yield FieldViolation(
            f"{prefix}values", f"{names}: not measured in this study, leave out; there is {known}."
        )
