"""What anybody would say first, judged in this process: there is a forecaster from the start."""

import time
from dataclasses import replace

import numpy as np

from common.scoring.metric import Metric
from services.tuner.domain.families.family import Fold
from services.tuner.domain.forecasting.families.family import ForecastFamily, Trained
from services.tuner.domain.forecasting.panel import ForecastProblem
from services.tuner.domain.problem import Outputs
from services.tuner.domain.search.library import FLOOR, Library
from services.tuner.domain.trials.attempt import failed
from services.tuner.domain.trials.trial import (
    Candidate,
    Split,
    TrialFailure,
    TrialResult,
    TrialTask,
)

_NO_END = float("inf")


def add_floor(
    problem: ForecastProblem, metric: Metric, library: Library, family: ForecastFamily, number: int
) -> list[TrialResult]:
    """Judges the default of a family on the windows where it is not known; returns what they gave.

    Args:
        problem: All rows.
        metric: What is to be made small.
        library: Gets the candidate, unless it has it.
        family: Takes next to no time.
        number: Of the candidate.
    """
    if number not in library.entries:
        library.register(Candidate(number, family.name, family.space(problem).default), FLOOR)
    entry = library.entries[number]
    candidate, known = entry.candidate, entry.folds
    for fold, split in enumerate(library.splits[known:], known):
        task = TrialTask(candidate, fold, 1.0, 1.0)
        begun = time.monotonic()
        outputs = trained(problem, split, family, candidate)[1]
        weights = None if problem.weights is None else problem.weights[split.judged]
        result = replace(
            failed(task, TrialFailure.NOT_FINITE, "", time.monotonic() - begun),
            loss=float(metric.loss(problem.truth[split.judged], outputs, weights)),
            outputs=outputs,
            failure=None,
        )
        library.add(result)
    return entry.results[known:]


def trained(
    problem: ForecastProblem, split: Split, family: ForecastFamily, candidate: Candidate
) -> tuple[Trained, Outputs]:
    """Returns a candidate that learned a split, with what it tells of the judged rows."""
    known, judged = problem.take(split.train), problem.take(split.judged)
    fold = Fold(known.features, known.truth, None, judged.features, judged.truth)
    fitted = family.fit(known, fold, candidate.configuration, 0, lambda: _NO_END)
    told = np.asarray(fitted.estimator.predict(judged.features), np.float64)
    return fitted.estimator, told.reshape(-1, 1)
