"""The chosen candidates learn everything once more."""

import time
from collections.abc import Mapping

from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.forecasting.families.family import Trained
from services.tuner.domain.search.library import Library
from services.tuner.domain.trials.hosting import TrialHost, load_estimator
from services.tuner.domain.trials.trial import Candidate, TrialResult, TrialTask

_LEAST = 0.2


def finished(
    ensemble: Ensemble, host: TrialHost, library: Library, fold: int, close: float
) -> Mapping[int, Trained]:
    """Returns the members of a blend that could be learned in time, by number.

    Args:
        ensemble: The blend.
        host: Runs trials.
        library: The candidates.
        fold: Number of the split with all rows.
        close: When to end, on `time.monotonic`.
    """
    waiting = sorted(ensemble.weights, key=lambda each: -ensemble.weights[each])
    for running in list(host.running):
        host.cancel(running)
    found: dict[int, Trained] = {}
    while time.monotonic() < close:
        while waiting and host.has_room:
            host.start(_task(library.entries[waiting.pop(0)].candidate, fold, close))
        if not host.running:
            break
        result = host.wait(max(close - time.monotonic(), 0.0))
        if result is not None and _is_whole(result, fold):
            found[result.task.candidate.number] = load_estimator(result)
    return found


def _task(candidate: Candidate, fold: int, close: float) -> TrialTask:
    return TrialTask(candidate, fold, 1.0, max(close - time.monotonic(), _LEAST))


def _is_whole(result: TrialResult, fold: int) -> bool:
    return result.failure is None and result.task.fold == fold
