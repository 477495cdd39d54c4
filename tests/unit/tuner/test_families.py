"""What every family keeps to, on small problems of every kind."""

import functools
import io
import pickle
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import RandomForestRegressor

from common.data.schema import Column, ColumnType
from common.scoring.kinds import TABLE_KINDS
from services.tuner.domain.families.family import Family, Fitted, Fold, OutOfTimeError, outputs_of
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.families.trees import TREES
from services.tuner.domain.problem import Outputs, Problem, ProblemKind, Truth
from services.tuner.domain.space.configuration import Configuration

ROWS, TRAINED = 240, 180
CLASSES = 5
FEW_TREES: Configuration = {TREES: 20, "rounds": 40}
COLUMNS = (
    Column("width", ColumnType.NUMERIC),
    Column("height", ColumnType.NUMERIC, missing_count=20),
    Column("noise", ColumnType.NUMERIC),
    Column("is_new", ColumnType.BOOLEAN),
    Column("colour", ColumnType.CATEGORICAL, 10, (), ("blue", "green", "red"), 3),
)

by_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
by_kind = pytest.mark.parametrize("kind", TABLE_KINDS, ids=str)
by_both = pytest.mark.parametrize(
    ("family", "kind"),
    [
        pytest.param(family, kind, id=f"{family.name}-{kind}")
        for family in FAMILIES.values()
        for kind in sorted(family.kinds)
    ],
)


@functools.cache
def made(kind: ProblemKind, seed: int = 0) -> Problem:
    """Returns a problem that can be learned: the height counts, and one of the colours."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(ROWS, 3))
    is_new = generator.integers(0, 2, ROWS)
    colours = generator.choice(["blue", "green", "red"], ROWS).astype(object)
    score = numbers[:, 0] + 1.5 * (colours == "red") + 0.1 * generator.normal(size=ROWS)
    features = pd.DataFrame(numbers, columns=["width", "height", "noise"])
    features["is_new"] = is_new.astype(np.float64)
    features["colour"] = colours
    features.loc[generator.choice(ROWS, 20, replace=False), "height"] = np.nan
    features.loc[generator.choice(ROWS, 10, replace=False), "colour"] = np.nan
    outputs = {ProblemKind.REGRESSION: 1, ProblemKind.BINARY: 2, ProblemKind.MULTICLASS: CLASSES}
    names = tuple(f"output {index}" for index in range(outputs.get(kind, 3)))
    return Problem(kind, COLUMNS, features, truth_of(kind, score, is_new), names)


def truth_of(
    kind: ProblemKind, score: npt.NDArray[np.float64], other: npt.NDArray[np.int64]
) -> Truth:
    if kind is ProblemKind.REGRESSION:
        return 100 + 10 * score
    if kind is ProblemKind.MULTI_LABEL:
        labels = [score > 0.5, score < 0, other > 0]
        return np.column_stack(labels).astype(np.int8)
    parts = 2 if kind is ProblemKind.BINARY else CLASSES
    return np.digitize(score, np.quantile(score, np.arange(1, parts) / parts)).astype(np.int64)


def fold_of(problem: Problem, rows: slice = slice(0, TRAINED)) -> Fold:
    weights = None if problem.weights is None else problem.weights[rows]
    watched = problem.take(np.arange(TRAINED, ROWS))
    features = problem.features.iloc[rows].reset_index(drop=True)
    return Fold(features, problem.truth[rows], weights, watched.features, watched.truth)


def judged(problem: Problem) -> pd.DataFrame:
    return problem.take(np.arange(TRAINED, ROWS)).features


def fit(
    family: Family,
    problem: Problem,
    configuration: Configuration | None = None,
    fold: Fold | None = None,
    time_left: Callable[[], float] = lambda: 30.0,
) -> Fitted:
    chosen = family.space(problem).default if configuration is None else configuration
    return family.fit(problem, fold or fold_of(problem), {**chosen, **FEW_TREES}, 7, time_left)


@functools.cache
def fitted(name: str, kind: ProblemKind) -> Fitted:
    """Returns a family's default, fitted once for all tests that only look at it."""
    return fit(FAMILIES[name], made(kind))


def loss(problem: Problem, outputs: Outputs) -> float:
    """Returns the mean squared error: Brier's, of classes."""
    truth = problem.truth[TRAINED:].astype(np.float64)
    if problem.kind.has_classes:
        truth = np.eye(len(problem.outputs))[truth.astype(np.int64)]
    return float(np.mean((truth.reshape(outputs.shape) - outputs) ** 2))


def constant_loss(problem: Problem) -> float:
    truth, count = problem.truth[:TRAINED], ROWS - TRAINED
    if problem.kind.has_classes:
        shares = np.bincount(truth.astype(np.int64)) / TRAINED
        return loss(problem, np.tile(shares, (count, 1)))
    means = np.atleast_1d(truth.astype(np.float64).mean(axis=0))
    return loss(problem, np.tile(means, (count, 1)))


def test_names_are_those_of_the_families() -> None:
    assert all(name == family.name for name, family in FAMILIES.items())


@by_family
@by_kind
def test_fits_says_why_it_does_not_learn_a_kind(family: Family, kind: ProblemKind) -> None:
    assert bool(family.fits(made(kind))) == (kind not in family.kinds)


@by_both
def test_outputs_are_finite_and_better_than_a_constant(family: Family, kind: ProblemKind) -> None:
    problem = made(kind)
    outputs = outputs_of(fitted(family.name, kind).estimator, judged(problem), problem)
    assert outputs.shape == (ROWS - TRAINED, len(problem.outputs))
    assert np.isfinite(outputs).all()
    if kind is not ProblemKind.REGRESSION:
        assert outputs.min() >= 0
        assert outputs.max() <= 1 + 1e-9
    if kind.has_classes:
        assert np.allclose(outputs.sum(axis=1), 1)
    assert loss(problem, outputs) < 0.95 * constant_loss(problem)


@by_both
def test_same_seed_same_outputs(family: Family, kind: ProblemKind) -> None:
    problem = made(kind)
    again = outputs_of(fit(family, problem).estimator, judged(problem), problem)
    first = outputs_of(fitted(family.name, kind).estimator, judged(problem), problem)
    assert np.array_equal(first, again)


@by_both
def test_a_single_row_and_unseen_categories_are_predicted(
    family: Family, kind: ProblemKind
) -> None:
    problem, estimator = made(kind), fitted(family.name, kind).estimator
    rows = judged(problem).copy()
    together = outputs_of(estimator, rows, problem)
    alone = outputs_of(estimator, rows.iloc[[3]], problem)
    assert np.allclose(alone, together[[3]], rtol=1e-4, atol=1e-6)
    rows["colour"] = "purple"
    rows["width"] = np.nan
    assert np.isfinite(outputs_of(estimator, rows, problem)).all()


@by_both
def test_models_go_between_processes_and_into_skops_files(
    family: Family, kind: ProblemKind
) -> None:
    problem, estimator = made(kind), fitted(family.name, kind).estimator
    expected = outputs_of(estimator, judged(problem), problem)
    sent = pickle.loads(pickle.dumps(estimator))
    content = skops.io.dumps(estimator)
    untrusted = skops.io.get_untrusted_types(data=content)
    assert not [name for name in untrusted if name.startswith("services")]
    kept = skops.io.load(io.BytesIO(content), trusted=untrusted)
    for copy in (sent, kept):
        assert np.allclose(outputs_of(copy, judged(problem), problem), expected)


@by_both
def test_any_configuration_fits(family: Family, kind: ProblemKind) -> None:
    problem, generator = made(kind), np.random.default_rng(3)
    space = family.space(problem)
    for _ in range(3):
        configuration = space.sample(generator)
        assert family.cost(problem, configuration) > 0
        found = fit(family, problem, configuration)
        assert np.isfinite(outputs_of(found.estimator, judged(problem), problem)).all()


@by_both
def test_little_time_is_kept_to(family: Family, kind: ProblemKind) -> None:
    problem, begun = made(kind), time.monotonic()
    chosen = {**family.space(problem).default, TREES: 100_000}
    try:
        found = family.fit(
            problem, fold_of(problem), chosen, 7, lambda: begun + 0.2 - time.monotonic()
        )
    except OutOfTimeError:
        found = None
    assert time.monotonic() - begun < 1.2
    if found is not None:
        assert np.isfinite(outputs_of(found.estimator, judged(problem), problem)).all()


@by_both
def test_no_time_at_all_gives_something_or_says_so(family: Family, kind: ProblemKind) -> None:
    problem, begun = made(kind), time.monotonic()
    try:
        found = fit(family, problem, time_left=lambda: 0.0)
    except OutOfTimeError:
        return
    assert np.isfinite(outputs_of(found.estimator, judged(problem), problem)).all()
    assert time.monotonic() - begun < 1.2


@by_both
def test_weights_count(family: Family, kind: ProblemKind) -> None:
    """Half of the rows say the opposite, and weigh nothing."""
    problem = made(kind)
    truth = problem.truth.copy()
    truth[:90] = reversed_truth(problem)[:90]
    weights = np.where(np.arange(ROWS) < 90, 0.0, 1.0)
    plain = replace(problem, truth=truth)
    weighted = replace(plain, weights=weights)
    losses = [
        loss(problem, outputs_of(fit(family, each).estimator, judged(problem), problem))
        for each in (plain, weighted)
    ]
    assert losses[1] < losses[0]


def reversed_truth(problem: Problem) -> Truth:
    truth = problem.truth.astype(np.float64)
    found: Truth = (truth.max(axis=0) + truth.min(axis=0) - truth).astype(problem.truth.dtype)
    return found


@by_both
def test_a_fold_may_lack_classes(family: Family, kind: ProblemKind) -> None:
    problem = made(kind)
    if kind is ProblemKind.REGRESSION:
        return
    rows = problem.truth != 1 if kind.has_classes else np.ones(ROWS, bool)
    truth = problem.truth[rows].copy()
    if not kind.has_classes:
        truth[:, 0], truth[:, 1] = 1, 0
    features = problem.features[rows].reset_index(drop=True)
    found = fit(family, problem, fold=Fold(features, truth))
    outputs = outputs_of(found.estimator, judged(problem), problem)
    assert outputs.shape == (ROWS - TRAINED, len(problem.outputs))
    assert outputs[:, 1].max() <= 0.2
    if not kind.has_classes:
        assert outputs[:, 0].min() >= 0.8


@by_family
def test_few_and_rare_rows_are_enough(family: Family) -> None:
    """A class with a single row costs no family its fit."""
    if ProblemKind.MULTICLASS not in family.kinds:
        return
    problem = made(ProblemKind.MULTICLASS)
    rows = np.r_[np.flatnonzero(problem.truth != 1)[:30], np.flatnonzero(problem.truth == 1)[:1]]
    some = problem.take(rows)
    found = fit(family, problem, fold=Fold(some.features, some.truth))
    assert np.isfinite(outputs_of(found.estimator, judged(problem), problem)).all()


def test_forests_that_grow_in_rounds_are_those_that_grow_at_once() -> None:
    """The floor is the random forest that people know."""
    problem = made(ProblemKind.REGRESSION)
    chosen = {**FAMILIES["random_forest"].space(problem).default, TREES: 60}
    found = FAMILIES["random_forest"].fit(problem, fold_of(problem), chosen, 7, lambda: 60.0)
    assert found.settings == {TREES: 60}
    matrix = found.estimator[:-1].transform(problem.features)
    forest = RandomForestRegressor(60, random_state=7)
    forest.fit(matrix[:TRAINED], problem.truth[:TRAINED])
    expected = forest.predict(matrix[TRAINED:])
    assert np.allclose(found.estimator.predict(judged(problem)), expected)


def test_forests_are_cut_short_by_time() -> None:
    problem, begun = made(ProblemKind.BINARY), time.monotonic()
    chosen = {**FAMILIES["extra_trees"].space(problem).default, TREES: 100_000}
    found = FAMILIES["extra_trees"].fit(
        problem, fold_of(problem), chosen, 7, lambda: begun + 0.3 - time.monotonic()
    )
    assert found.is_cut_short
    assert 0 < int(found.settings[TREES]) < 100_000


@pytest.mark.parametrize("name", ["support_vectors", "naive_bayes", "nearest_neighbours"])
def test_probabilities_are_not_too_sure(name: str) -> None:
    """Of labels of which a fifth are wrong no row is certain."""
    problem = made(ProblemKind.BINARY)
    flips = np.random.default_rng(1).random(ROWS) < 0.2
    noisy = replace(problem, truth=np.where(flips, 1 - problem.truth, problem.truth))
    outputs = outputs_of(fit(FAMILIES[name], noisy).estimator, judged(noisy), noisy)
    assert outputs.max(axis=1).mean() < 0.9


@pytest.mark.parametrize("name", ["decision_tree", "random_forest", "extra_trees"])
def test_smoothed_trees_rule_nothing_out(name: str) -> None:
    problem = made(ProblemKind.MULTICLASS)
    chosen = {**FAMILIES[name].space(problem).default, "smoothing": 1.0}
    outputs = outputs_of(fit(FAMILIES[name], problem, chosen).estimator, judged(problem), problem)
    assert outputs.min() > 0
    assert np.allclose(outputs.sum(axis=1), 1)
