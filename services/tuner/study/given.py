"""Trials that a study is given to begin with."""

import math
from collections.abc import Iterator, Sequence

from aimass.tuner.v1 import study_pb2
from common.errors import FieldViolation, InvalidFieldError
from services.tuner.domain.space.configuration import Setting
from services.tuner.study.convert import Problem, configuration_of, settings_to_proto
from services.tuner.study.outcomes import Outcome, outcome_violations
from services.tuner.study.validation import raise_if

MOST_STEPS = 1_000
"""Of a trial."""
_MOST = 1_000
_FIELD = "initial_trials"


def given_trials(problem: Problem, given: Sequence[study_pb2.Trial]) -> list[study_pb2.Trial]:
    """Returns the trials that a study begins with, without what only the service sets.

    Args:
        problem: Of the study.
        given: As the caller sent them.

    Returns:
        Those with an outcome first, then those that wait to be given out; without names.

    Raises:
        InvalidInputError: Names the path of every field that is wrong, and the cure.
    """
    if len(given) > _MOST:
        raise InvalidFieldError(_FIELD, f"must have at most {_MOST:,} items.")
    violations: list[FieldViolation] = []
    for place, trial in enumerate(given):
        violations += _violations(problem, trial, f"{_FIELD}[{place}].")
    waiting = [place for place, trial in enumerate(given) if not _is_told(trial)]
    if len(waiting) > problem.spec.max_trials:
        violations.append(
            FieldViolation(
                _FIELD,
                f"{len(waiting):,} of them wait to be given out, and `study.spec.max_trials` is "
                f"{problem.spec.max_trials:,}: give fewer, or more `max_trials`.",
            )
        )
    raise_if(violations)
    made = [_made(problem, trial) for trial in given]
    return sorted(made, key=lambda trial: trial.state == study_pb2.TRIAL_STATE_WAITING)


def _is_told(trial: study_pb2.Trial) -> bool:
    return bool(trial.values or trial.failure)


def _outcome(trial: study_pb2.Trial) -> Outcome:
    return Outcome(dict(trial.values), trial.failure, cost=trial.cost)


def _violations(problem: Problem, trial: study_pb2.Trial, prefix: str) -> Iterator[FieldViolation]:
    for sentence in problem.space.problems(_configuration(problem, trial)):
        yield FieldViolation(f"{prefix}settings", sentence)
    if _is_told(trial):
        yield from outcome_violations(problem, _outcome(trial), prefix)
    elif trial.measurements or trial.cost:
        yield FieldViolation(
            f"{prefix}values",
            "There are measurements or a cost, but no outcome: give `values` or a `failure` too.",
        )
    steps = [each.step for each in trial.measurements]
    if len(set(steps)) < len(steps) or any(step < 0 for step in steps):
        yield FieldViolation(
            f"{prefix}measurements", "Each step must be there once, and 0 or more."
        )
    if len(steps) > MOST_STEPS:
        yield FieldViolation(f"{prefix}measurements", f"must have at most {MOST_STEPS:,} items.")
    if any(math.isinf(each.value) for each in trial.measurements):
        yield FieldViolation(f"{prefix}measurements", "Values must be finite, or not a number.")


def _configuration(problem: Problem, trial: study_pb2.Trial) -> dict[str, Setting]:
    return problem.normalised(configuration_of(trial.settings))


def _made(problem: Problem, trial: study_pb2.Trial) -> study_pb2.Trial:
    settings = settings_to_proto(_configuration(problem, trial))
    made = study_pb2.Trial(settings=settings, state=study_pb2.TRIAL_STATE_WAITING)
    made.measurements.extend(sorted(trial.measurements, key=lambda each: each.step))
    made.create_time.GetCurrentTime()
    if _is_told(trial):
        _outcome(trial).fill(made)
    return made
