"""How trials change: given out, reported on, told. Nothing else writes them."""

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aimass.tuner.v1 import study_pb2
from common.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    FencedError,
    InvalidFieldError,
)
from services.tuner.study.given import MOST_STEPS
from services.tuner.study.outcomes import Outcome

Trial = study_pb2.Trial
Change = Callable[[Trial], Trial | None]

_OPEN = (study_pb2.TRIAL_STATE_WAITING, study_pb2.TRIAL_STATE_RUNNING)


def given_out(lease_seconds: float, request_id: str) -> Change:
    """Gives a trial out, again where it was before; what was measured then is forgotten."""

    def change(trial: Trial) -> Trial | None:
        if trial.state not in _OPEN:
            return None
        trial.state = study_pb2.TRIAL_STATE_RUNNING
        trial.attempt += 1
        trial.request_id = request_id
        del trial.measurements[:]
        _renew(trial, lease_seconds)
        return trial

    return change


def reported(lease_seconds: float, step: int, value: float | None, attempt: int) -> Change:
    """Adds an intermediate value where there is one, and renews the lease.

    What it returns raises `FailedPreconditionError` once the trial has ended, `FencedError` once it
    was given to somebody else, `AlreadyExistsError` where the step has another value.
    """

    def change(trial: Trial) -> Trial:
        _require_mine(trial, attempt)
        if trial.state not in _OPEN:
            state = study_pb2.TrialState.Name(trial.state).removeprefix("TRIAL_STATE_")
            raise FailedPreconditionError(
                f"{trial.name} is {state}; ask for another trial.", reason="TRIAL_ENDED"
            )
        if value is not None:
            _measure(trial, step, value)
        _renew(trial, lease_seconds)
        return trial

    return change


def told(outcome: Outcome, attempt: int) -> Change:
    """Ends a trial; the same outcome again changes nothing.

    What it returns raises `AlreadyExistsError` where the trial has another outcome, `FencedError`
    once it was given to somebody else.
    """

    def change(trial: Trial) -> Trial | None:
        if trial.state not in _OPEN:
            if outcome.is_of(trial):
                return None
            raise AlreadyExistsError(
                f"{trial.name} was told before, with other content, which stays.",
                reason="ALREADY_TOLD",
            )
        _require_mine(trial, attempt)
        outcome.fill(trial)
        return trial

    return change


def _require_mine(trial: Trial, attempt: int) -> None:
    if attempt and attempt != trial.attempt:
        raise FencedError(
            f"{trial.name} was given to somebody else since its lease had ended (attempt "
            f"{trial.attempt}); ask for another trial, and report in time or give the study a "
            "longer lease_duration."
        )


def _measure(trial: Trial, step: int, value: float) -> None:
    steps = [each.step for each in trial.measurements]
    place = bisect_left(steps, step)
    if place < len(steps) and steps[place] == step:
        former = trial.measurements[place].value
        if former != value and not (former != former and value != value):
            raise AlreadyExistsError(
                f"Step {step} of {trial.name} was reported before as {former!r}, which stays.",
                reason="ALREADY_REPORTED",
            )
        return
    if len(steps) >= MOST_STEPS:
        raise InvalidFieldError(
            "step", f"{MOST_STEPS:,} steps of {trial.name} are reported: report fewer of them"
        )
    trial.measurements.insert(place, study_pb2.Measurement(step=step, value=value))


def _renew(trial: Trial, seconds: float) -> None:
    trial.lease_expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
