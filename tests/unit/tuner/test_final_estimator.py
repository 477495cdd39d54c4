"""From trials to a pool of candidates, and from the chosen blend to an estimator that is kept."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

from common.data.schema import Column, ColumnType
from common.models.skops_model import open_skops
from common.scoring.kinds import TABLE_KINDS
from common.scoring.registry import METRICS
from services.tuner.domain.ensemble.final import final_estimator, pool_of
from services.tuner.domain.ensemble.selection import choose_ensemble
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.trials.trial import Candidate, Split, TrialResult, TrialTask

BINARY, MULTICLASS = ProblemKind.BINARY, ProblemKind.MULTICLASS
LABELS, REGRESSION = ProblemKind.MULTI_LABEL, ProblemKind.REGRESSION


def problem_for(kind: ProblemKind, rows: int = 120) -> Problem:
    random = np.random.default_rng(1)
    features = pd.DataFrame(random.normal(size=(rows, 4)), columns=list("abcd"))
    signal = features["a"].to_numpy() + 0.5 * features["b"].to_numpy()
    columns = tuple(Column(name, ColumnType.NUMERIC) for name in features)
    truth: dict[ProblemKind, Any] = {
        BINARY: (signal > 0).astype(np.int64),
        MULTICLASS: np.digitize(signal, [-0.5, 0.5]).astype(np.int64),
        LABELS: np.column_stack([signal > 0, features["c"] > 0.5]).astype(np.int8),
        REGRESSION: signal,
    }
    outputs = {BINARY: ("no", "yes"), MULTICLASS: ("x", "y", "z"), LABELS: ("l", "m")}
    return Problem(kind, columns, features, truth[kind], outputs.get(kind, ("target",)))


def splits_for(rows: int, count: int = 3) -> list[Split]:
    folds = np.arange(rows) % count
    return [Split(np.flatnonzero(folds != f), np.flatnonzero(folds == f)) for f in range(count)]


def result_of(
    candidate: Candidate, fold: int, estimator: Any, outputs: Any, folder: Path
) -> TrialResult:
    path = folder / f"{candidate.number}-{fold}"
    path.write_bytes(pickle.dumps(estimator))
    task = TrialTask(candidate, fold, 1.0, 60.0)
    size = path.stat().st_size
    return TrialResult(task, 0.1, outputs, {}, 0.1, 0.01, 0, size, str(path))


def outputs_of(estimator: Any, features: pd.DataFrame) -> Any:
    if not hasattr(estimator, "predict_proba"):
        return estimator.predict(features)[:, None]
    found = estimator.predict_proba(features)
    return np.column_stack([each[:, 1] for each in found]) if isinstance(found, list) else found


def fitted_results(
    problem: Problem, candidate: Candidate, model: Any, folder: Path, splits: Sequence[Split]
) -> list[TrialResult]:
    results = []
    for fold, split in enumerate(splits):
        learned, judged = problem.take(split.train), problem.take(split.judged)
        estimator = type(model)(**model.get_params()).fit(learned.features, learned.truth)
        outputs = outputs_of(estimator, judged.features)
        results.append(result_of(candidate, fold, estimator, outputs, folder))
    return results


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_final_estimator_is_the_chosen_blend(kind: ProblemKind, tmp_path: Path) -> None:
    problem, splits = problem_for(kind), splits_for(120)
    models = (
        [Ridge(), DecisionTreeRegressor(max_depth=3)]
        if kind is REGRESSION
        else [
            RandomForestClassifier(4, max_depth=5, random_state=0),
            ExtraTreesClassifier(4, max_depth=5, random_state=0),
        ]
    )
    results = {
        number: fitted_results(problem, Candidate(number, "any", {}), model, tmp_path, splits)
        for number, model in enumerate(models, start=4)
    }
    metric = METRICS["rmse" if kind is REGRESSION else "log_loss"]
    pool = pool_of(problem, metric, results, splits)
    assert pool.row_count == 120
    assert all(each.bytes > 0 and each.seconds > 0 for each in pool.costs.values())
    ensemble = choose_ensemble(pool)
    model = open_skops(skops.io.dumps(final_estimator(problem, ensemble, results)), "model")
    estimator = model.estimator
    assert [each.name for each in model.columns] == list("abcd")
    found = estimator.predict(problem.features)
    if kind is REGRESSION:
        assert np.mean((found - problem.truth) ** 2) < 0.1
    elif kind is LABELS:
        assert np.mean(found == problem.truth) > 0.9
    else:
        assert np.mean(found == np.array(problem.outputs)[problem.truth]) > 0.9


def test_candidates_without_a_fold_in_common_are_refused(tmp_path: Path) -> None:
    problem, splits = problem_for(REGRESSION), splits_for(120)
    found = fitted_results(problem, Candidate(0, "any", {}), Ridge(), tmp_path, splits)
    with pytest.raises(ValueError, match="no fold in common"):
        pool_of(problem, METRICS["rmse"], {0: found[:1], 1: found[1:]}, splits)


def test_rows_of_folds_that_all_have_are_the_pool(tmp_path: Path) -> None:
    problem, splits = problem_for(REGRESSION), splits_for(120)
    found = fitted_results(problem, Candidate(0, "any", {}), Ridge(), tmp_path, splits)
    pool = pool_of(problem, METRICS["rmse"], {0: found, 1: found[:2]}, splits)
    assert pool.row_count == 80
    assert np.allclose(pool.outputs[0], pool.outputs[1])
