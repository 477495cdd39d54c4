"""From trials to a pool, and from the chosen blend to an estimator: nothing is fitted again."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.models.estimators.blending import (
    BlendedClassifier,
    BlendedRegressor,
    BlendGroup,
)
from common.scoring.metric import Metric
from common.scoring.registry import on_rows
from services.tuner.domain.ensemble.pool import Cost, Pool, parts_of
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.problem import Positions, Problem, ProblemKind
from services.tuner.domain.trials.trial import Split, TrialResult

Results = Mapping[int, Sequence[TrialResult]]
"""By number of the candidate: those of its folds that have a score."""


def pool_of(problem: Problem, metric: Metric, results: Results, splits: Sequence[Split]) -> Pool:
    """Returns the pool of candidates, over the rows of the folds that all of them have.

    Args:
        problem: All rows.
        metric: For all rows.
        results: Of at least one candidate.
        splits: The folds.

    Raises:
        ValueError: There is no fold that all candidates have.
    """
    common = set.intersection(*({each.task.fold for each in found} for found in results.values()))
    if not common:
        raise ValueError("The candidates have no fold in common.")
    folds = _fold_of(problem.row_count, splits, common)
    rows = np.flatnonzero(folds >= 0)
    truth = problem.truth[rows]
    return Pool(
        kind=problem.kind,
        metric=on_rows(metric, rows),
        truth=truth,
        numbers=tuple(results),
        outputs=np.stack([_out_of_fold(each, splits, folds)[rows] for each in results.values()]),
        parts=parts_of(truth, problem.kind, folds[rows]),
        weights=None if problem.weights is None else problem.weights[rows],
        costs={number: cost_of(found) for number, found in results.items()},
    )


def final_estimator(
    problem: Problem,
    ensemble: Ensemble,
    results: Results,
    labels: Sequence[object] | npt.NDArray[np.generic] | None = None,
) -> BlendedClassifier | BlendedRegressor:
    """Returns the estimator whose groups are the members with all folds that they were fitted on.

    Args:
        problem: What is predicted.
        ensemble: The blend.
        results: Of its members; their estimators are kept at `model_path`.
        labels: Of the classes as `predict` is to give them; `Problem.outputs` by default.
    """
    groups = [
        BlendGroup(kept_estimators(results[number]), weight)
        for number, weight in ensemble.weights.items()
    ]
    names = list(problem.features.columns)
    if problem.kind is ProblemKind.REGRESSION:
        return BlendedRegressor.of(
            groups, names, mean=ensemble.mean, calibration=ensemble.calibration
        )
    return BlendedClassifier.of(
        groups,
        names,
        problem.outputs if labels is None else labels,
        mean=ensemble.mean,
        is_multilabel=problem.kind is ProblemKind.MULTI_LABEL,
        calibration=ensemble.calibration,
        tilts=ensemble.tilts,
    )


def kept_estimators(results: Sequence[TrialResult]) -> list[Any]:
    """Returns the estimators of folds as the search's own processes kept them."""
    return [pickle.loads(Path(each.model_path).read_bytes()) for each in results]


def _fold_of(rows: int, splits: Sequence[Split], folds: set[int]) -> Positions:
    """Returns the fold that judges each row, -1 for none."""
    found = np.full(rows, -1)
    for fold in sorted(folds, reverse=True):
        found[splits[fold].judged] = fold
    return found


def _out_of_fold(
    results: Sequence[TrialResult], splits: Sequence[Split], folds: Positions
) -> npt.NDArray[np.float32]:
    """Returns a candidate's outputs, (all rows, outputs); of rows judged twice the mean."""
    shapes = [each.outputs.shape[1] for each in results if each.outputs is not None]
    total = np.zeros((len(folds), shapes[0]), np.float32)
    counts = np.zeros(len(folds), np.float32)
    for each in results:
        if each.outputs is not None:
            judged = splits[each.task.fold].judged
            total[judged] += each.outputs
            counts[judged] += 1
    return np.asarray(total / np.maximum(counts, 1)[:, None], np.float32)


def cost_of(results: Sequence[TrialResult]) -> Cost:
    """Returns the cost of all folds of a candidate, for each of which a row is predicted."""
    seconds = (
        each.predict_seconds / len(each.outputs) for each in results if each.outputs is not None
    )
    return Cost(sum(seconds), float(sum(each.model_bytes for each in results)))
