"""Models from elsewhere behind one shape: what they take, and what they cannot be run on."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Task
from common.models.onnx_model import open_onnx
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.models.foreign import OnnxAnalysed
from tests.support.analysis import sklearn_model
from tests.support.foreign_models import linear_onnx

NUMBERS = {name: Column(name, ColumnType.NUMERIC) for name in ("a", "b", "c", "d")}
VALUES = np.random.default_rng(0).normal(size=(40, 4))
LABELS = (VALUES[:, 0] > 0).astype(int)
ROWS = RawRows(dict(zip(NUMBERS, VALUES.T, strict=True)))


def onnx_model(columns: dict[str, Column]) -> OnnxAnalysed:
    model = open_onnx(linear_onnx().SerializeToString(), "upload")
    return OnnxAnalysed(model, Task.CLASSIFICATION, ("x", "y", "z"), list(columns.values()))


def test_probabilities_are_the_estimators_own() -> None:
    estimator = RandomForestClassifier(5, random_state=0).fit(VALUES, LABELS)
    model = sklearn_model(estimator, NUMBERS, Task.CLASSIFICATION)
    np.testing.assert_allclose(model.predict(ROWS), estimator.predict_proba(VALUES))
    assert model.gives_probabilities
    assert model.features == ("a", "b", "c", "d")


def test_a_classifier_without_probabilities_says_so() -> None:
    model = sklearn_model(LinearSVC().fit(VALUES, LABELS), NUMBERS, Task.CLASSIFICATION)
    assert not model.gives_probabilities
    assert set(np.unique(model.predict(ROWS))) == {0.0, 1.0}


def test_logits_of_onnx_become_probabilities() -> None:
    found = onnx_model(NUMBERS).predict(ROWS)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_columns_that_a_model_cannot_take_are_no_features_of_it() -> None:
    columns = {**NUMBERS, "name": Column("name", ColumnType.TEXT)}
    estimator = LogisticRegression().fit(VALUES, LABELS)
    assert sklearn_model(estimator, NUMBERS, Task.CLASSIFICATION).features == tuple(NUMBERS)
    assert onnx_model(columns).features == tuple(NUMBERS)


def test_data_of_another_width_are_told_in_words() -> None:
    """Not as a failure of the library that runs the model."""
    few = RawRows({name: ROWS.columns[name] for name in ("a", "b")})
    columns = {name: NUMBERS[name] for name in ("a", "b")}
    with pytest.raises(UnusableModelError, match="takes 4"):
        onnx_model(columns).predict(few)


def test_what_a_library_raises_is_told_in_words() -> None:
    model = sklearn_model(LinearRegression().fit(VALUES, LABELS), NUMBERS, Task.REGRESSION)
    missing = RawRows({**ROWS.columns, "a": np.full(40, np.nan)})
    with pytest.raises(UnusableModelError, match="cannot be run on these rows"):
        model.predict(missing)
