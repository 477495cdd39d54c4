"""What earlier runs teach about this suite's machines: how far their estimates were off."""

from collections.abc import Iterable
from statistics import median

from aimass.trainer.v1 import trainer_pb2

_NEWEST = 10
_LEAST_SECONDS = 2.0
_MICRO = 1e6
_Key = tuple[str | None, int, int]


def calibration(spec: trainer_pb2.TrainingSpec, runs: Iterable[trainer_pb2.TrainingRun]) -> float:
    """Returns what to multiply the expected duration of a run by.

    It is the median of what the newest 10 runs took against what was expected of them before any
    calibration: runs of the same kind of network, precision and number of workers where there are
    any, else all. Runs below 2 s say nothing.

    Args:
        spec: Resolved.
        runs: Runs that have succeeded, newest first.

    Returns:
        1 where there is nothing to learn from.
    """
    found = [(_key(run.spec), _ratio(run)) for run in runs if _is_telling(run)]
    alike = [ratio for key, ratio in found if key == _key(spec)]
    ratios = alike or [ratio for _, ratio in found]
    return median(ratios[:_NEWEST]) if ratios else 1.0


def _is_telling(run: trainer_pb2.TrainingRun) -> bool:
    seconds = run.performance.training_duration.ToMicroseconds() / _MICRO
    return seconds >= _LEAST_SECONDS and run.performance.estimate_error.duration > -1


def _ratio(run: trainer_pb2.TrainingRun) -> float:
    """Returns what a run took against its uncalibrated estimate."""
    used = run.estimate.calibration or 1.0
    return used / (1 + run.performance.estimate_error.duration)


def _key(spec: trainer_pb2.TrainingSpec) -> _Key:
    return spec.network.WhichOneof("kind"), spec.precision, spec.workers.wanted
