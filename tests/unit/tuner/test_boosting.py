"""Boosted trees: what watched rows, time and gaps in classes do to them, and how they are kept."""

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor

from common.data.schema import Column, ColumnType
from common.models.estimators.boosted import BoostedClassifier, BoostedRegressor
from common.models.skops_model import open_skops
from common.scoring.kinds import TABLE_KINDS
from services.tuner.domain.families.boosting import balanced, has_long_tail
from services.tuner.domain.families.family import Family, Fold, outputs_of
from services.tuner.domain.families.hist_boosting import HistBoosting
from services.tuner.domain.families.lightgbm_boosting import LightBoosting
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.space.configuration import Configuration

FAMILIES: tuple[Family, ...] = (LightBoosting(), HistBoosting())
FAST: Configuration = {"stopping": "watched", "learning_rate": 0.2, "num_leaves": 7}
OUTPUTS = {
    ProblemKind.BINARY: ("no", "yes"),
    ProblemKind.MULTICLASS: ("a", "b", "c"),
    ProblemKind.MULTI_LABEL: ("p", "q"),
    ProblemKind.REGRESSION: ("target",),
}


def made(kind: ProblemKind, rows: int = 240) -> Problem:
    """Returns a problem of two numbers with gaps and a category, of which all tell the target."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(rows, 2))
    letters = generator.choice(list("xyz"), rows)
    value = 2 * numbers[:, 0] + np.where(letters == "x", 2.0, -1.0)
    truth: Any = {
        ProblemKind.BINARY: (value > 0).astype(np.int64),
        ProblemKind.MULTICLASS: np.digitize(value, [-1.0, 1.0]),
        ProblemKind.MULTI_LABEL: np.column_stack([value > 0, numbers[:, 1] > 0]).astype(np.int8),
        ProblemKind.REGRESSION: value,
    }[kind]
    numbers[::17, 1] = np.nan
    features = pd.DataFrame({"u": numbers[:, 0], "v": numbers[:, 1], "c": letters.astype(object)})
    columns = (
        Column("u", ColumnType.NUMERIC, distinct_count=rows),
        Column("v", ColumnType.NUMERIC, distinct_count=rows),
        Column("c", ColumnType.CATEGORICAL, categories=("x", "y", "z"), distinct_count=3),
    )
    return Problem(kind, columns, features, truth, OUTPUTS[kind])


def fold_of(problem: Problem, first: int = 160) -> Fold:
    """Returns the first rows to learn from; the others are watched."""
    rows = problem.features
    return Fold(
        rows.iloc[:first], problem.truth[:first], None, rows.iloc[first:], problem.truth[first:]
    )


def settled(family: Family, problem: Problem, some: Configuration) -> Configuration:
    return family.space(problem).completed(some)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_learns_and_is_kept(family: Family, kind: ProblemKind) -> None:
    """All kinds of problems are learned, and a file of skops gives the same outputs."""
    problem = made(kind)
    fitted = family.fit(problem, fold_of(problem), settled(family, problem, FAST), 0, lambda: 60.0)
    outputs = outputs_of(fitted.estimator, problem.features, problem)
    assert outputs.shape == (problem.row_count, len(problem.outputs))
    if kind.has_classes:
        assert (outputs.argmax(axis=1) == problem.truth)[160:].mean() > 0.85
    elif kind is ProblemKind.MULTI_LABEL:
        assert ((outputs > 0.5) == problem.truth)[160:].mean() > 0.85
    else:
        assert np.corrcoef(outputs[160:, 0], problem.truth[160:].astype(np.float64))[0, 1] > 0.95
    kept = open_skops(skops.io.dumps(fitted.estimator), "model").estimator
    assert np.array_equal(outputs_of(kept, problem.features, problem), outputs)
    assert not fitted.is_cut_short


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_rounds_are_found_and_can_be_repeated(family: Family) -> None:
    """Rows that are watched end learning early; as many rounds are learned without them."""
    problem = made(ProblemKind.BINARY)
    fold = fold_of(problem)
    some = settled(family, problem, FAST)
    found = family.fit(problem, fold, some, 0, lambda: 60.0)
    assert 1 <= int(found.settings["rounds"]) < 1000
    alone = Fold(fold.features, fold.truth)
    again = family.fit(problem, alone, {**some, **found.settings}, 0, lambda: 60.0)
    assert again.settings == found.settings
    one = outputs_of(found.estimator, problem.features, problem)
    other = outputs_of(again.estimator, problem.features, problem)
    assert np.allclose(one, other)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_time_ends_learning(family: Family) -> None:
    """What was learned until time ended is returned, and said to be cut short."""
    problem = made(ProblemKind.REGRESSION, rows=3000)
    some = settled(family, problem, {"stopping": "watched", "learning_rate": 0.01})
    end = time.monotonic() + 0.3
    fitted = family.fit(problem, fold_of(problem, 2000), some, 0, lambda: end - time.monotonic())
    assert fitted.is_cut_short
    assert time.monotonic() < end + 0.5
    assert np.isfinite(outputs_of(fitted.estimator, problem.features, problem)).all()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_classes_without_rows(family: Family) -> None:
    """A class that is not learned has probability 0, and its watched rows do no harm."""
    problem = made(ProblemKind.MULTICLASS)
    rows = np.flatnonzero((problem.truth != 1) | (np.arange(problem.row_count) >= 160))
    gap = problem.take(rows)
    first = int((rows < 160).sum())
    some = settled(family, gap, FAST)
    fitted = family.fit(gap, fold_of(gap, first), some, 0, lambda: 60.0)
    outputs = outputs_of(fitted.estimator, gap.features, gap)
    assert (outputs[:, 1] == 0).all()
    assert np.allclose(outputs.sum(axis=1), 1)
    one = problem.take(np.flatnonzero(problem.truth == 2))
    fitted = family.fit(one, fold_of(one, 40), some, 0, lambda: 60.0)
    assert (outputs_of(fitted.estimator, one.features, one)[:, 2] == 1).all()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_labels_that_are_always_there(family: Family) -> None:
    """One of many labels may be the same in all rows."""
    problem = made(ProblemKind.MULTI_LABEL)
    problem.truth[:, 0] = 1
    fitted = family.fit(problem, fold_of(problem), settled(family, problem, FAST), 0, lambda: 60.0)
    outputs = outputs_of(fitted.estimator, problem.features, problem)
    assert (outputs[:, 0] > 0.99).all()


def test_seeds_repeat() -> None:
    """The same seed gives the same model, with all chance there is."""
    problem, family = made(ProblemKind.BINARY), LightBoosting()
    some = settled(
        family,
        problem,
        {**FAST, "bagging_fraction": 0.6, "feature_fraction": 0.6, "extra_trees": True},
    )
    outputs = [
        outputs_of(
            family.fit(problem, fold_of(problem), some, seed, lambda: 60.0).estimator,
            problem.features,
            problem,
        )
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_the_floor_is_scikit_learns_own() -> None:
    """The default equals HistGradientBoosting as it comes, in steps or not."""
    problem = made(ProblemKind.REGRESSION).with_columns(["u", "v"])
    family = HistBoosting()
    fitted = family.fit(problem, fold_of(problem), family.space(problem).default, 5, lambda: 60.0)
    usual = HistGradientBoostingRegressor(random_state=5)
    usual.fit(problem.features[:160].to_numpy(), problem.truth[:160])
    found = fitted.estimator.predict(problem.features)
    assert np.allclose(found, usual.predict(problem.features.to_numpy()), rtol=1e-6)


def test_a_column_without_any_value_is_passed_over() -> None:
    """scikit-learn cannot put it into bins; later values of it change nothing."""
    problem = made(ProblemKind.REGRESSION).with_columns(["u", "v"])
    problem.features["v"] = np.nan
    family = HistBoosting()
    fitted = family.fit(problem, fold_of(problem), family.space(problem).default, 5, lambda: 60.0)
    found = fitted.estimator.predict(problem.features)
    assert np.ptp(found) > 0
    assert np.array_equal(found, fitted.estimator.predict(problem.features.assign(v=3.0)))


@pytest.mark.parametrize("objective", ["l1", "huber", "log_l2"])
def test_objectives_of_targets_with_long_tails(objective: str) -> None:
    """Values come back on the target's own scale."""
    problem = made(ProblemKind.REGRESSION)
    problem.truth[:] = 1000 * np.exp(problem.truth)
    family = LightBoosting()
    assert has_long_tail(problem)
    some = settled(family, problem, {**FAST, "objective": objective})
    found = family.fit(problem, fold_of(problem), some, 0, lambda: 60.0)
    values = outputs_of(found.estimator, problem.features, problem)[:, 0]
    assert 0.5 < np.median(values) / np.median(problem.truth.astype(np.float64)) < 2


def test_classes_count_alike() -> None:
    """Balanced weights sum to the same for each class, and keep their sum."""
    weights = balanced(np.array([0, 0, 0, 2]), np.array([1.0, 1.0, 2.0, 4.0]))
    assert np.isclose(weights[:3].sum(), weights[3])
    assert np.isclose(weights.sum(), 8.0)


def test_a_row_is_predicted_at_once() -> None:
    """A booster is opened once: a row takes well under a millisecond then."""
    problem, family = made(ProblemKind.BINARY), LightBoosting()
    some = settled(family, problem, FAST)
    model = family.fit(problem, fold_of(problem), some, 0, lambda: 60.0).estimator.steps[-1][1]
    assert isinstance(model, BoostedClassifier)
    row = np.zeros((1, model.n_features_in_))
    model.predict_proba(row)
    begin = time.perf_counter()
    for _ in range(50):
        model.predict_proba(row)
    assert (time.perf_counter() - begin) / 50 < 1e-3


def test_made_and_not_fitted() -> None:
    """Estimators of boosters that were learned elsewhere say that they cannot be fitted."""
    with pytest.raises(TypeError, match="elsewhere"):
        BoostedRegressor().fit(np.zeros((2, 1)), np.zeros(2))
