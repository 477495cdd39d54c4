"""Blends of fitted estimators: what they predict, and that they can be kept."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from common.data.schema import Task
from common.models.estimators.blending import (
    BlendedClassifier,
    BlendedRegressor,
    BlendGroup,
)
from common.models.estimators.combining import (
    Mean,
    ScaledScores,
    Steps,
    combined,
    probabilities_of,
    scores_of,
    tilted,
)
from common.models.skops_model import open_skops

NAMES = ["age", "city", "member"]
LABELS = ("bad", "fine", "good")


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    cities = random.choice(np.array(["rome", "oslo"], dtype=object), 90)
    return pd.DataFrame(
        {"age": random.normal(size=90), "city": cities, "member": random.integers(2, size=90) * 1.0}
    )


@pytest.fixture
def positions(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    return np.asarray(np.digitize(frame["age"] + frame["member"], [0, 1]))


def fitted(frame: pd.DataFrame, truth: Any, last: Any) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    first = make_column_transformer((encoder, ["city"]), remainder="passthrough")
    return make_pipeline(first, last).fit(frame, truth)


def group(frame: pd.DataFrame, truth: Any, weight: float, seed: int = 0) -> BlendGroup:
    halves = (slice(None, None, 2), slice(1, None, 2))
    forests = (RandomForestClassifier(5, random_state=seed + at) for at in range(2))
    members = [fitted(frame[half], truth[half], next(forests)) for half in halves]
    return BlendGroup(members, weight)


def fold_mean(part: BlendGroup, frame: pd.DataFrame) -> Any:
    return np.mean([each.predict_proba(frame) for each in part.estimators_], axis=0)


def kept(estimator: Any) -> Any:
    return open_skops(skops.io.dumps(estimator), "model").estimator


def test_probabilities_are_means_over_folds_then_over_groups(
    frame: pd.DataFrame, positions: npt.NDArray[np.int64]
) -> None:
    groups = [group(frame, positions, 3.0), group(frame, positions, 1.0, seed=5)]
    blend = BlendedClassifier.of(groups, NAMES, LABELS)
    expected = 0.75 * fold_mean(groups[0], frame) + 0.25 * fold_mean(groups[1], frame)
    assert np.allclose(blend.predict_proba(frame), expected)
    assert blend.predict(frame).tolist() == [LABELS[at] for at in expected.argmax(axis=1)]
    assert is_classifier(blend)
    assert not is_regressor(blend)


@pytest.mark.parametrize("mean", [Mean.PLAIN, Mean.LOGITS])
def test_classifier_is_kept_with_all_it_has(
    frame: pd.DataFrame, positions: npt.NDArray[np.int64], mean: Mean
) -> None:
    blend = BlendedClassifier.of(
        [group(frame, positions, 1.0)],
        NAMES,
        LABELS,
        mean=mean,
        calibration=ScaledScores(np.full(3, 0.7), np.array([0.1, 0.0, 0.0])),
        tilts=np.array([1.0, 9.0, 1.0]),
    )
    model = open_skops(skops.io.dumps(blend), "model")
    assert np.array_equal(model.estimator.predict_proba(frame), blend.predict_proba(frame))
    assert np.array_equal(model.estimator.predict(frame), blend.predict(frame))
    assert [each.dtype for each in model.columns] == ["float64", "object", "float64"]
    assert list(model.signature.classes) == list(LABELS)
    columns = {name: frame[name].to_numpy() for name in NAMES}
    assert model.predict(columns)["probabilities"].shape == (90, 3)
    assert model.task(columns) is Task.CLASSIFICATION


def test_many_labels(frame: pd.DataFrame) -> None:
    truth = np.column_stack([frame["age"] > 0, frame["member"] > 0]).astype(np.int8)
    blend = BlendedClassifier.of([group(frame, truth, 1.0)], NAMES, ("a", "b"), is_multilabel=True)
    model = open_skops(skops.io.dumps(blend), "model")
    columns = {name: frame[name].to_numpy() for name in NAMES}
    assert model.task(columns) is Task.MULTI_LABEL
    assert np.mean(model.estimator.predict(frame) == truth) > 0.9
    assert model.estimator.predict_proba(frame).shape == (90, 2)


def test_labels_that_a_fold_has_not_seen_have_no_probability(frame: pd.DataFrame) -> None:
    truth = np.column_stack([frame["age"] > 0, frame["age"] > 99]).astype(np.int8)
    found = BlendedClassifier.of(
        [group(frame, truth, 1.0)], NAMES, ("a", "b"), is_multilabel=True
    ).predict_proba(frame)
    assert not found[:, 1].any()


def test_classes_that_a_fold_has_not_seen_have_no_probability(
    frame: pd.DataFrame, positions: npt.NDArray[np.int64]
) -> None:
    known = positions != 1
    member = fitted(frame[known], positions[known], RandomForestClassifier(5, random_state=0))
    found = BlendedClassifier.of([BlendGroup([member], 1.0)], NAMES, LABELS).predict_proba(frame)
    assert not found[:, 1].any()
    assert np.allclose(found.sum(axis=1), 1)


def test_regressor_is_kept(frame: pd.DataFrame) -> None:
    truth = frame["age"].to_numpy()
    groups = [BlendGroup([fitted(frame, truth + at, Ridge())], 1.0) for at in range(3)]
    blend = BlendedRegressor.of(groups, NAMES, mean=Mean.MEDIAN)
    assert is_regressor(blend)
    again = kept(blend).predict(frame)
    assert np.allclose(again, groups[1].estimators_[0].predict(frame))


def test_columns_in_other_order_and_truth_values_are_taken(
    frame: pd.DataFrame, positions: npt.NDArray[np.int64]
) -> None:
    blend = BlendedClassifier.of([group(frame, positions, 1.0)], NAMES, LABELS)
    other = frame.assign(member=frame["member"] > 0, more=1)[["more", "member", "city", "age"]]
    assert np.array_equal(blend.predict_proba(other), blend.predict_proba(frame))


def test_missing_column_is_named(frame: pd.DataFrame, positions: npt.NDArray[np.int64]) -> None:
    blend = BlendedClassifier.of([group(frame, positions, 1.0)], NAMES, LABELS)
    with pytest.raises(ValueError, match="`city`"):
        blend.predict(frame.drop(columns="city"))


PROBABILITIES = st.lists(
    st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6
).map(lambda rows: (np.array(rows) + 1e-9) / (np.array(rows) + 1e-9).sum(axis=1, keepdims=True))


@given(PROBABILITIES, st.sampled_from([Mean.PLAIN, Mean.LOGITS]), st.floats(0.1, 5))
def test_mean_of_equal_models_is_the_model(
    probabilities: npt.NDArray[np.float64], mean: Mean, weight: float
) -> None:
    found = combined([probabilities] * 2, [weight / (weight + 1), 1 / (weight + 1)], mean)
    assert np.allclose(found, probabilities, atol=1e-5)


@given(PROBABILITIES)
def test_scores_and_probabilities_are_inverse(probabilities: npt.NDArray[np.float64]) -> None:
    for mean in (Mean.ODDS, Mean.LOGITS):
        found = probabilities_of(scores_of(probabilities, mean), mean)
        assert np.allclose(found, probabilities, atol=1e-5)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=7), st.data())
def test_median_counts_a_value_as_often_as_it_weighs(
    values: list[int], data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values)))
    outputs = [np.array([[float(value)]]) for value in values]
    expected = np.median(np.repeat(values, weights))
    assert combined(outputs, weights, Mean.MEDIAN)[0, 0] == pytest.approx(expected)


@given(PROBABILITIES, st.floats(0.05, 20))
def test_tilts_decide_as_thresholds_do(
    probabilities: npt.NDArray[np.float64], factor: float
) -> None:
    found = tilted(probabilities, np.full(3, factor), is_exclusive=False)
    sure = np.abs(probabilities - 1 / (1 + factor)) > 1e-9
    assert np.array_equal((found >= 0.5)[sure], (probabilities > 1 / (1 + factor))[sure])


def test_steps_never_turn_the_order() -> None:
    second = np.linspace(0, 1, 50)
    steps = Steps(np.array([0.2, 0.5, 0.6]), np.array([0.1, 0.1, 0.9]))
    found = steps.apply(np.column_stack([1 - second, second]))
    assert np.all(np.diff(found[:, 1]) >= 0)
    assert np.allclose(found.sum(axis=1), 1)
