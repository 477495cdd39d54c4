"""Candidates that learn from others: all of it within the rows that they may learn from.

The bases are fitted anew on parts of these rows, so that nothing of the rows that a candidate is
judged on reaches it: outputs that bases gave in the search would tell it, for they have learned
from these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from common.data.schema import Column, ColumnType
from common.models.estimators.blending import BlendGroup, group_outputs
from common.models.estimators.combining import Mean
from common.models.estimators.stacking import StackedClassifier, StackedRegressor, stacked_frame
from services.tuner.domain.families.family import Family, Fitted, Fold, TimeLeft, outputs_of
from services.tuner.domain.folds import fold_splits
from services.tuner.domain.problem import Outputs, Problem, ProblemKind
from services.tuner.domain.trials.marked_rows import by_marks
from services.tuner.domain.trials.trial import Candidate, Lesson

INNER_FOLDS = 4
_CONTRAST = 0.7  # of weights: between rows that are got wholly wrong and wholly right

_MEANS: Mapping[ProblemKind, Mean] = {
    ProblemKind.BINARY: Mean.LOGITS,
    ProblemKind.MULTICLASS: Mean.LOGITS,
    ProblemKind.MULTI_LABEL: Mean.ODDS,
    ProblemKind.REGRESSION: Mean.PLAIN,
}


@dataclass(frozen=True)
class _Taught:
    """What a base says of rows.

    Attributes:
        estimators: One of each part.
        outputs: Of each row, by the one that did not learn from it, (rows, outputs).
    """

    estimators: list[Any]
    outputs: Outputs


@dataclass(frozen=True)
class Lessons:
    """Fits candidates, with or without bases.

    Attributes:
        families: By name.
        seed: Of all chance.
        time_left: Of the trial.
    """

    families: Mapping[str, Family]
    seed: int
    time_left: TimeLeft

    def fitted(self, candidate: Candidate, train: Problem, judged: Problem) -> Fitted:
        """Returns a candidate that has learned.

        Args:
            candidate: With bases or without.
            train: The rows to learn from.
            judged: Rows that may tell when to stop.

        Raises:
            OutOfTimeError: Time was too short for anything of use.
        """
        if not candidate.bases:
            return self._fit(candidate, train, judged, 1)
        fits = len(candidate.bases) * INNER_FOLDS + 1
        taught = [
            self._taught(base, train, fits - number * INNER_FOLDS)
            for number, base in enumerate(candidate.bases)
        ]
        if candidate.lesson is Lesson.OUTPUTS:
            return self._stacked(candidate, train, judged, taught)
        errors = row_errors(train, np.mean([each.outputs for each in taught], axis=0))
        weighed = reweighed(train, errors, candidate.lesson)
        return self._fit(candidate, weighed, judged, 1)

    def _taught(self, base: Candidate, train: Problem, fits_left: int) -> _Taught:
        splits = fold_splits(train, INNER_FOLDS, self.seed)
        outputs = np.full((train.row_count, len(train.outputs)), np.nan)
        estimators = []
        for number, split in enumerate(splits):
            judged = train.take(split.judged)
            fitted = self._fit(base, train.take(split.train), judged, fits_left - number)
            outputs[split.judged] = outputs_of(fitted.estimator, judged.features, train)
            estimators.append(fitted.estimator)
        # Rows that are in all training parts: what a mean row gets says nothing of them.
        missing = np.isnan(outputs).any(axis=1)
        outputs[missing] = np.nanmean(outputs, axis=0)
        return _Taught(estimators, outputs)

    def _stacked(
        self, candidate: Candidate, train: Problem, judged: Problem, taught: Sequence[_Taught]
    ) -> Fitted:
        mean, width = _MEANS[train.kind], len(train.outputs)
        bases = [BlendGroup(each.estimators, 1.0) for each in taught]
        said = [group_outputs(each, judged.features, width) for each in bases]
        wide = _widened(train, [each.outputs for each in taught], mean)
        # Numbers beside categories alone have settings of their own.
        space = self.families[candidate.family].space(wide)
        complete = replace(candidate, configuration=space.completed(candidate.configuration))
        upper = self._fit(complete, wide, _widened(judged, said, mean), 1)
        kind = StackedRegressor if train.kind is ProblemKind.REGRESSION else StackedClassifier
        return replace(upper, estimator=kind.of(bases, upper.estimator, width, mean))

    def _fit(self, candidate: Candidate, train: Problem, judged: Problem, fits_left: int) -> Fitted:
        """Fits with an equal share of the time that is left for so many fits."""
        start = self.time_left()
        kept = start * (1 - 1 / fits_left)
        train = by_marks(train, candidate.use)
        fold = Fold(train.features, train.truth, train.weights, judged.features, judged.truth)
        return self.families[candidate.family].fit(
            train, fold, candidate.configuration, self.seed, lambda: self.time_left() - kept
        )


def row_errors(problem: Problem, outputs: Outputs) -> npt.NDArray[np.float64]:
    """Returns how wrong outputs are, 0 to 1, (rows,).

    It is 1 less the probability of the true class; of labels the mean of this; of values the error
    beside the median one.
    """
    if problem.kind.has_classes:
        rows = np.arange(problem.row_count)
        return np.asarray(1 - outputs[rows, problem.truth.astype(np.int64)], np.float64)
    truth = problem.truth.astype(np.float64).reshape(outputs.shape)
    off = np.abs(outputs - truth).mean(axis=1)
    if problem.kind is ProblemKind.MULTI_LABEL:
        return np.asarray(off, np.float64)
    return np.asarray(off / np.maximum(off + np.median(off), 1e-300), np.float64)


def reweighed(problem: Problem, errors: npt.NDArray[np.float64], lesson: Lesson) -> Problem:
    """Returns a problem whose rows weigh more or less by their errors; the mean weight stays."""
    signed = errors if lesson is Lesson.HARD_ROWS else 1 - errors
    factors = 1 - _CONTRAST + _CONTRAST * np.clip(signed, 0, 1)
    weights = np.ones(problem.row_count) if problem.weights is None else problem.weights
    found = weights * factors
    return replace(problem, weights=found * (weights.mean() / found.mean()))


def _widened(problem: Problem, outputs: Sequence[Outputs], mean: Mean) -> Problem:
    features = stacked_frame(problem.features, outputs, mean)
    added = list(features)[len(problem.columns) :]
    columns = (*problem.columns, *(Column(name, ColumnType.NUMERIC) for name in added))
    return replace(problem, columns=columns, features=features)
