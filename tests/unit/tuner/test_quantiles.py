"""Quantiles are learned, not made of means: by families, by searches, in files and twins."""

import functools
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import skops.io

from common.data.schema import Column, ColumnType
from common.models.estimators.blending import BlendedRegressor, BlendGroup
from common.models.estimators.combining import Mean, Shifted
from common.models.frames import columns_of
from common.models.onnx_model import open_onnx
from common.models.skops_model import open_skops
from common.models.twins.twin import Bounds, twin_of
from common.scoring.registry import level_of, metric_named
from common.scoring.values import pinball
from services.tuner.domain.ensemble.calibration import calibrated
from services.tuner.domain.ensemble.final import final_estimator
from services.tuner.domain.ensemble.pool import Pool, parts_of
from services.tuner.domain.ensemble.selection import Ensemble
from services.tuner.domain.families.family import Fitted, Fold, outputs_of
from services.tuner.domain.families.perceptron_plan import Goal
from services.tuner.domain.families.registry import FAMILIES
from services.tuner.domain.problem import Outputs, Positions, Problem, ProblemKind
from services.tuner.domain.search.joint import joint_space
from services.tuner.domain.search.tuning import Settings, Tuned, tune
from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.trials.stored_problem import read_problem, write_problem
from services.tuner.domain.trials.trial import Candidate, TrialResult, TrialTask

LEVEL = 0.9
METRIC = pinball(LEVEL)
LEARNED, WATCHED, ALL = 1_500, 2_000, 6_000
NAMES = ("trend", "spread", "noise")
QUICK: dict[str, Configuration] = {
    "light_boosting": {},
    "hist_boosting": {"stopping": "watched"},
    "linear": {},
    "perceptron": {"members": 4, "width": 64},
}

Values = npt.NDArray[np.float64]


@functools.cache
def made(rows: int = ALL) -> Problem:
    """Returns a problem whose spread grows with a column; the noise is skewed, of mean 0."""
    generator = np.random.default_rng(0)
    values = generator.uniform(-1, 1, (rows, len(NAMES)))
    noise = generator.exponential(size=rows) - 1
    truth = 2 * values[:, 0] + np.exp(1.5 * values[:, 1]) * noise
    columns = tuple(Column(name, ColumnType.NUMERIC, distinct_count=rows) for name in NAMES)
    features = pd.DataFrame(values, columns=list(NAMES))
    return Problem(ProblemKind.REGRESSION, columns, features, truth, ("target",))


def between(first: int, last: int) -> Positions:
    return np.arange(first, last)


def fitted(family: str, level: float | None, settings: Configuration) -> Fitted:
    """Returns a family that has learned the first rows; the next ones may tell when to stop."""
    problem = replace(made().take(between(0, LEARNED)), level=level)
    watched = made().take(between(LEARNED, WATCHED))
    fold = Fold(problem.features, problem.truth, None, watched.features, watched.truth)
    some = FAMILIES[family].space(problem).completed(settings)
    return FAMILIES[family].fit(problem, fold, some, 0, lambda: 60.0)


def said(estimator: Any, first: int, last: int) -> tuple[Outputs, Values]:
    """Returns what an estimator says of some rows, and what is true of them."""
    rows = made().take(between(first, last))
    return outputs_of(estimator, rows.features, rows), rows.truth.astype(np.float64)


@functools.cache
def loss_of_mean(family: str) -> float:
    """Returns the loss of means, all shifted by what is best for watched rows."""
    estimator = fitted(family, None, QUICK.get(family, {})).estimator
    outputs, truth = said(estimator, LEARNED, WATCHED)
    shift = np.quantile(truth - outputs[:, 0], LEVEL)
    outputs, truth = said(estimator, WATCHED, ALL)
    return METRIC.loss(truth, outputs + shift)


def coverage(outputs: Outputs, truth: Values) -> float:
    return float((truth <= outputs[:, 0]).mean())


@pytest.mark.parametrize("name", ["pinball_0.9", "pinball_0.1", "pinball", "mae", "rmse", "auc"])
def test_metrics_say_which_quantile_they_want(name: str) -> None:
    """The best for absolute errors is the median; others want none."""
    wanted = {"pinball_0.9": 0.9, "pinball_0.1": 0.1, "pinball": 0.5, "mae": 0.5}
    assert level_of(metric_named(name.replace("auc", "roc_auc"))) == wanted.get(name)


@pytest.mark.parametrize("family", QUICK)
def test_families_learn_quantiles(family: str) -> None:
    """Means, shifted, are worse, whoever learns them; a file of skops says the same."""
    estimator = fitted(family, LEVEL, QUICK[family]).estimator
    outputs, truth = said(estimator, WATCHED, ALL)
    means = min(loss_of_mean(each) for each in (family, "light_boosting", "random_forest"))
    assert METRIC.loss(truth, outputs) < 0.95 * means
    assert coverage(outputs, truth) == pytest.approx(LEVEL, abs=0.05)
    kept = open_skops(skops.io.dumps(estimator), "model").estimator
    assert np.array_equal(said(kept, WATCHED, ALL)[0], outputs)


@pytest.mark.parametrize(
    ("family", "mean"),
    [
        ("light_boosting", {"objective": "l2"}),
        ("hist_boosting", {"loss": "squared_error"}),
        ("linear", {"penalty": "ridge"}),
    ],
)
def test_means_can_still_be_chosen(family: str, mean: Configuration) -> None:
    """They are what is learned where no quantile is wanted, and settings of before stay valid."""
    wanted, plain = (FAMILIES[family].space(replace(made(), level=each)) for each in (LEVEL, None))
    if family == "linear":
        wanted = FAMILIES[family].space(replace(made(500), level=LEVEL))
    [name] = mean
    assert wanted.default[name] == "quantile"
    assert plain.default[name] == mean[name]
    assert not wanted.problems(wanted.completed(plain.default))
    least = fitted(family, LEVEL, mean).estimator
    usual = fitted(family, None, mean).estimator
    assert np.array_equal(said(least, WATCHED, ALL)[0], said(usual, WATCHED, ALL)[0])


@pytest.mark.parametrize("rows", [40, 500, 40_000])
def test_spaces_have_no_flaw(rows: int) -> None:
    """What is there only for quantiles of few rows must not be what other settings depend on."""
    space = joint_space(replace(made(rows), level=LEVEL), list(FAMILIES.values()))
    assert not space.flaws()


def test_many_rows_are_no_linear_program() -> None:
    """It would take longer than all other families."""
    penalty = FAMILIES["linear"].space(replace(made(40_000), level=LEVEL)).default["penalty"]
    assert penalty == "ridge"


def test_slopes_of_a_goal_are_those_of_its_loss() -> None:
    """The perceptron goes down the pinball loss, row by row and by their weights."""
    generator = np.random.default_rng(0)
    wanted = generator.normal(size=(20, 1)).astype(np.float32)
    outputs = generator.normal(size=(1, 20, 1)).astype(np.float32)
    weights = np.linspace(0.5, 1.5, 20, dtype=np.float32)
    goal = Goal("values", wanted, weights, LEVEL)
    slopes = goal.slopes(outputs, between(0, 20)[None])[0, :, 0]
    expected = np.where(outputs[0] > wanted, 1 - LEVEL, -LEVEL)[:, 0] * weights / 20
    assert slopes == pytest.approx(expected, rel=1e-5)
    assert slopes.dtype == np.float32
    found = METRIC.loss(wanted[:, 0], outputs[0].astype(np.float64))
    assert goal.loss(outputs) == pytest.approx(found, rel=1e-5)


def test_the_level_reaches_whoever_fits(tmp_path: Path) -> None:
    """A problem keeps it where rows and columns are taken, and on its way to the host."""
    problem = replace(made(), level=LEVEL)
    write_problem(problem, tmp_path)
    parts = (problem.take(between(0, 5)), problem.with_columns(NAMES[:1]), read_problem(tmp_path))
    assert [each.level for each in parts] == [LEVEL] * 3


def searched(metric: str, seconds: float, folder: Path) -> Tuned:
    """Returns what a search finds."""
    families = ("light_boosting", "hist_boosting", "random_forest", "linear")
    settings = Settings(seconds, metric, families=families)
    return tune(made().take(between(0, WATCHED)), settings, folder)


def test_a_search_finds_a_quantile(tmp_path: Path) -> None:
    """Its model is about right in so many rows, and better than what means could be."""
    tuned = searched(METRIC.name, 8.0, tmp_path)
    outputs, truth = said(tuned.estimator, WATCHED, ALL)
    assert tuned.problem.level == LEVEL
    assert coverage(outputs, truth) == pytest.approx(LEVEL, abs=0.04)
    assert METRIC.loss(truth, outputs) < 0.95 * loss_of_mean("light_boosting")


def test_a_search_for_absolute_errors_finds_the_median(tmp_path: Path) -> None:
    """Of a long tail it is not the mean, which more rows are below of."""
    tuned = searched("mae", 5.0, tmp_path)
    outputs, truth = said(tuned.estimator, WATCHED, ALL)
    mean, _ = said(fitted("light_boosting", None, {}).estimator, WATCHED, ALL)
    assert coverage(outputs, truth) == pytest.approx(0.5, abs=0.04)
    assert np.abs(truth - outputs[:, 0]).mean() < np.abs(truth - mean[:, 0]).mean()


def blend(calibration: Shifted | None) -> BlendedRegressor:
    """Returns a blend of all that learn quantiles."""
    groups = [BlendGroup([fitted(each, LEVEL, QUICK[each]).estimator], 0.5) for each in QUICK]
    return BlendedRegressor.of(groups, NAMES, mean=Mean.PLAIN, calibration=calibration)


def test_a_blend_can_be_shifted() -> None:
    """In a file of skops as well; blends of older files have nothing to be shifted by."""
    plain, shifted = blend(None), blend(Shifted(0.25))
    expected, _ = said(plain, WATCHED, ALL)
    assert said(shifted, WATCHED, ALL)[0] == pytest.approx(expected + 0.25)
    kept = open_skops(skops.io.dumps(shifted), "model").estimator
    assert np.array_equal(said(kept, WATCHED, ALL)[0], said(shifted, WATCHED, ALL)[0])
    del plain.calibration_
    old = open_skops(skops.io.dumps(plain), "model").estimator
    assert np.array_equal(said(old, WATCHED, ALL)[0], expected)


def test_quantiles_have_twins() -> None:
    """In ONNX they are the same, the shift too."""
    shifted = blend(Shifted(0.25))
    rows = made().take(between(WATCHED, WATCHED + 100)).features
    inputs = {name: rows[name].to_numpy() for name in NAMES}
    expected = shifted.predict(rows)
    columns = columns_of(shifted, list(NAMES))
    twin = twin_of(shifted, columns, "prediction", inputs, expected, Bounds(60))
    found = open_onnx(twin.content, "onnx").predict(inputs)["prediction"]
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["pinball_0.9", "mae"])
@pytest.mark.parametrize("off", [0.0, 0.7])
def test_blends_are_shifted_where_they_are_off(name: str, off: float) -> None:
    """Held-out rows say whether; the shift is the quantile of what is left, by weight."""
    generator = np.random.default_rng(0)
    metric, noise = metric_named(name), generator.normal(size=2_000)
    level = level_of(metric)
    assert level is not None
    outputs = np.full((2_000, 1), np.quantile(noise, level) - off)
    weights = np.where(np.arange(2_000) % 2, 1.0, 2.0)
    parts = parts_of(noise, ProblemKind.REGRESSION)
    wide = outputs[None].astype(np.float32)
    pool = Pool(ProblemKind.REGRESSION, metric, noise, (0,), wide, parts, weights)
    found = calibrated(pool, outputs)
    assert (found.calibration is not None) == (off > 0)
    if found.calibration is not None:
        left = noise - found.calibration.apply(outputs)[:, 0]
        assert np.average(left <= 0, weights=weights) == pytest.approx(level, abs=0.01)
        assert found.judged.loss < pool.loss(outputs)


def test_the_final_model_is_shifted_as_its_blend_was(tmp_path: Path) -> None:
    """What the loss was told of is what predicts."""
    path = tmp_path / "model"
    problem = replace(made().take(between(0, WATCHED)), level=LEVEL)
    path.write_bytes(pickle.dumps(fitted("linear", LEVEL, {}).estimator))
    task = TrialTask(Candidate(0, "linear", {}), 0, 1.0, 1.0)
    results = {0: [TrialResult(task, 0.1, None, {}, 0.1, 0.1, 0, 0, str(path))]}
    alone = Ensemble("best", {0: 1.0}, Mean.PLAIN, None, None, 0.1, 0.0, ())
    shifted = replace(alone, calibration=Shifted(0.25))
    estimators = (final_estimator(problem, each, results) for each in (alone, shifted))
    plain, moved = (np.asarray(each.predict(problem.features), np.float64) for each in estimators)
    assert moved == pytest.approx(plain + 0.25)
