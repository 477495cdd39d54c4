"""Estimators that need fewer columns: they take old tables, say what they ignore, and are kept."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from common.data.schema import Task
from common.models.estimators.chain import Chain
from common.models.estimators.fewer_columns import FewerColumnsClassifier, FewerColumnsRegressor
from common.models.estimators.side_by_side import SideBySide
from common.models.estimators.table_codes import TableCodes
from common.models.estimators.text_columns import TextColumns
from common.models.estimators.text_terms import TextTerms
from common.models.skops_model import PREDICTION, PROBABILITIES, open_skops
from tests.support.foreign_models import skops_file

RANDOM = np.random.default_rng(0)
ROWS = 80
FRAME = pd.DataFrame(
    {
        "noise": RANDOM.normal(size=ROWS),
        "city": RANDOM.choice(np.array(["oslo", "rome"], object), ROWS),
        "age": RANDOM.normal(size=ROWS),
        "member": RANDOM.random(ROWS) < 0.5,
        "note": RANDOM.choice(np.array(["old town", "new bridge"], object), ROWS),
    }
)
KEPT = ["age", "city", "member", "note"]
LABELS = np.where((FRAME.age > 0) ^ FRAME.member, "stays", "leaves")
VALUES = FRAME.age.to_numpy() + FRAME.member


def inputs(frame: pd.DataFrame) -> dict[str, Any]:
    return {name: frame[name].to_numpy() for name in frame}


def pipeline(model: Any) -> Any:
    encoder = OrdinalEncoder()
    columns = make_column_transformer(
        (OneHotEncoder(), ["city"]), (encoder, ["member", "note"]), remainder="passthrough"
    )
    return make_pipeline(columns, model)


def test_a_classifier_asks_for_fewer_columns_and_takes_tables_of_before() -> None:
    """Of all kinds of columns, through a file, with the signature that says what is asked for."""
    inner = pipeline(RandomForestClassifier(5, random_state=0)).fit(FRAME[KEPT], LABELS)
    made = FewerColumnsClassifier.of(inner, KEPT, list(FRAME))
    assert made.ignored_names_ == ["noise"]
    assert is_classifier(made)
    model = open_skops(skops_file(made), "model")
    asked = [(each.name, each.dtype) for each in model.signature.inputs]
    kinds = ["float64", "object", "bool", "object"]
    assert asked == list(zip(KEPT, kinds, strict=True))
    assert list(model.signature.classes) == ["leaves", "stays"]
    assert model.task(inputs(FRAME)) is Task.CLASSIFICATION
    wanted = inner.predict_proba(FRAME[KEPT])
    for rows in (inputs(FRAME), inputs(FRAME[KEPT])):
        assert np.array_equal(model.predict(rows)[PROBABILITIES], wanted)
    assert model.estimator.ignored_names_ == ["noise"]
    assert made.score(FRAME, LABELS) == inner.score(FRAME[KEPT], LABELS)


def test_a_regressor() -> None:
    """In any order of the columns, with others that nobody knows."""
    inner = pipeline(LinearRegression()).fit(FRAME[KEPT], VALUES)
    made = FewerColumnsRegressor.of(inner, KEPT, list(FRAME))
    assert is_regressor(made)
    model = open_skops(skops_file(made), "model")
    given = FRAME[["note", "city", "member", "age"]].assign(foreign="x")
    assert np.array_equal(model.predict(inputs(given))[PREDICTION], inner.predict(FRAME[KEPT]))


def test_texts_of_transformers_of_our_own_are_still_asked_for_as_texts() -> None:
    """What they know of their columns is found at the columns' new places."""
    table = Chain([TableCodes(["age"], ["city"])])
    texts = TextColumns(["note"], [TextTerms(least=1)], components=2)
    names = ["age", "city", "note"]
    steps = SideBySide([table, texts]), LinearRegression()
    inner = make_pipeline(*steps).fit(FRAME[names], VALUES)
    model = open_skops(skops_file(FewerColumnsRegressor.of(inner, names, list(FRAME))), "model")
    kinds = [(each.name, each.dtype) for each in model.signature.inputs]
    assert kinds == [("age", "float64"), ("city", "object"), ("note", "object")]
    assert "bridge" in model.columns[2].known


def test_arrays_are_taken_old_or_new() -> None:
    """An estimator that knows no names is told them: data sets have them."""
    table = RANDOM.normal(size=(ROWS, 3))
    inner = LogisticRegression().fit(table[:, [2, 0]], LABELS)
    made = FewerColumnsClassifier.of(inner, ["c", "a"], ["a", "b", "c"])
    wanted = inner.predict_proba(table[:, [2, 0]])
    assert np.array_equal(made.predict_proba(table), wanted)
    assert np.array_equal(made.predict_proba(table[:, [2, 0]]), wanted)
    frame = pd.DataFrame(table, columns=["a", "b", "c"])
    assert np.array_equal(made.predict_proba(frame), wanted)
    with pytest.raises(ValueError, match="4 columns; the model takes 2, or the 3 of before"):
        made.predict(RANDOM.normal(size=(2, 4)))


def test_a_missing_column_is_named() -> None:
    inner = LinearRegression().fit(FRAME[["age"]], VALUES)
    made = FewerColumnsRegressor.of(inner, ["age"], list(FRAME))
    with pytest.raises(ValueError, match="`age`"):
        made.predict(FRAME[["noise"]])
    with pytest.raises(ValueError, match="other columns"):
        FewerColumnsRegressor.of(inner, ["noise"], list(FRAME))
    with pytest.raises(TypeError, match="make one with `of`"):
        made.fit(FRAME, VALUES)


def test_a_classifier_without_probabilities_has_none() -> None:
    """So that its classes are asked for."""
    numbers = make_column_selector(dtype_include="number")
    columns = make_column_transformer(("passthrough", numbers))
    names = ["noise", "age"]
    inner = make_pipeline(columns, RidgeClassifier()).fit(FRAME[names], LABELS)
    made = FewerColumnsClassifier.of(inner, names, list(FRAME))
    assert not hasattr(made, "predict_proba")
    model = open_skops(skops_file(made), "model")
    found = model.estimator.classes_[model.predict(inputs(FRAME))[PREDICTION]]
    assert np.array_equal(found, inner.predict(FRAME[names]))


def test_many_labels() -> None:
    """The shapes of answers are those of the estimator."""
    labels = np.column_stack([FRAME.age > 0, FRAME.noise > 0]).astype(int)
    forest = RandomForestClassifier(5, random_state=0).fit(FRAME[["age"]], labels)
    made = FewerColumnsClassifier.of(forest, ["age"], list(FRAME))
    model = open_skops(skops_file(made), "model")
    assert model.task(inputs(FRAME)) is Task.MULTI_LABEL
    assert [each.shape for each in model.predict(inputs(FRAME)).values()] == [(ROWS, 2)] * 2
