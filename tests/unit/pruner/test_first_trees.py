"""Boosting of searches has fewer rounds, and predicts as the same booster does after these."""

import lightgbm
import numpy as np
import pytest

from common.models.estimators.boosted import BoostedClassifier, BoostedRegressor, packed
from common.models.skops_import import skops_io
from services.pruner.domain.classical.first_trees import first_trees, has_trees

ROWS, ROUNDS = 300, 40


def booster(objective: str, classes: int = 1) -> "tuple[lightgbm.Booster, np.ndarray]":
    """Returns a booster that has learned, and its rows."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(ROWS, 4))
    values = features[:, 0] + features[:, 1] ** 2
    truth: np.ndarray = values
    if objective != "regression":
        edges = np.quantile(values, np.linspace(0, 1, max(classes, 2) + 1)[1:-1])
        truth = np.searchsorted(edges, values)
    options = {"objective": objective, "verbose": -1, "num_threads": 1, "num_leaves": 7}
    if classes > 1:
        options["num_class"] = classes
    learned = lightgbm.train(options, lightgbm.Dataset(features, truth), ROUNDS)
    return learned, features


@pytest.mark.parametrize("classes", [1, 3])
def test_fewer_rounds_are_those_of_the_booster(classes: int) -> None:
    """The text is cut and packed anew: what is left says what it said after as many rounds."""
    learned, features = booster("multiclass" if classes > 1 else "binary", classes)
    labels = np.arange(max(classes, 2))
    model = BoostedClassifier.of([packed(learned, ROUNDS)], labels, 4)
    assert has_trees(model)
    made = list(first_trees(model))
    assert [each.size for each in made] == [each * classes for each in (30, 20, 14, 10)]
    assert all(each.before == ROUNDS * classes for each in made)
    for each, rounds in zip(made, (30, 20, 14, 10), strict=True):
        found = each.estimator.predict_proba(features)
        expected = np.asarray(learned.predict(features, num_iteration=rounds))
        assert np.allclose(found if classes > 1 else found[:, 1], expected)
        assert len(skops_io.dumps(each.estimator)) < len(skops_io.dumps(model))
    assert np.allclose(
        model.predict_proba(features)[:, -1],
        np.asarray(learned.predict(features)).reshape(ROWS, -1)[:, -1],
    ), "the original stays as it was"


def test_values_keep_their_scale() -> None:
    learned, features = booster("regression")
    model = BoostedRegressor.of(packed(learned, ROUNDS), 4, 10.0, 2.0, is_log=False)
    first, *_ = first_trees(model)
    expected = 10 + 2 * np.asarray(learned.predict(features, num_iteration=30))
    assert np.allclose(first.estimator.predict(features), expected)


def test_a_single_round_stays() -> None:
    learned, _ = booster("binary")
    model = BoostedClassifier.of([packed(learned, 1)], np.arange(2), 4)
    assert not list(first_trees(model))
