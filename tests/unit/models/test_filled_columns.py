"""Models that ask for fewer columns than they were fitted on: typical values stand in."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from common.models.estimators.filled_columns import FilledColumnsClassifier, FilledColumnsRegressor
from common.models.packaging import packaged
from common.models.skops_model import open_skops

ROWS = 60


def frame() -> pd.DataFrame:
    """Returns numbers, a truth value and a word."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": generator.normal(size=ROWS),
            "b": generator.normal(size=ROWS),
            "flag": generator.random(ROWS) > 0.5,
            "word": generator.choice(["x", "y"], ROWS),
        }
    )


def test_what_is_not_asked_for_has_its_typical_value() -> None:
    """Whatever the table holds there, or if it holds nothing."""
    table = frame()
    words = ColumnTransformer([("word", OneHotEncoder(), ["word"])], remainder="passthrough")
    model = make_pipeline(words, LogisticRegression()).fit(table, table["a"] > 0)
    fewer = FilledColumnsClassifier.of(model, list(table), {"word": "x", "flag": True, "b": 0.5})
    expected = model.predict_proba(table.assign(word="x", flag=True, b=0.5))
    assert np.array_equal(fewer.predict_proba(table), expected)
    assert np.array_equal(fewer.predict_proba(table[["a"]]), expected)
    assert fewer.classes_.tolist() == [False, True]
    opened = open_skops(packaged(fewer, table).content, "skops")
    assert [each.name for each in opened.columns] == ["a"]
    with pytest.raises(ValueError, match="The column `a`, which the model takes, is missing"):
        fewer.predict(table[["b"]])
    with pytest.raises(TypeError, match="make one with `of`"):
        fewer.fit(table, table["a"])


def test_categories_that_are_asked_for_stay_texts() -> None:
    """What the encoders within know of a column is told by the place that it has now."""
    table = frame()[["a", "b", "word"]]
    words = ColumnTransformer([("word", OneHotEncoder(), ["word"])], remainder="passthrough")
    model = make_pipeline(words, LogisticRegression()).fit(table, table["a"] > 0)
    fewer = FilledColumnsClassifier.of(model, list(table), {"a": 0.5})
    opened = open_skops(packaged(fewer, table).content, "skops")
    assert [each.dtype for each in opened.columns] == ["float64", "object"]


def test_values_are_predicted_without_some_columns() -> None:
    table = frame()[["a", "b"]]
    model = LinearRegression().fit(table, 2 * table["a"] + table["b"])
    fewer = FilledColumnsRegressor.of(model, ["a", "b"], {"b": 3.0})
    assert np.allclose(fewer.predict(table[["a"]]), 2 * table["a"] + 3)
    assert np.allclose(fewer.predict(table[["a"]].to_numpy()), 2 * table["a"] + 3)
