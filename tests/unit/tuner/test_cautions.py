"""What is odd about data is said before anybody trusts a model of it."""

import numpy as np
import pandas as pd
import pytest

from services.tuner.domain.cautions import cautions
from services.tuner.domain.problem import Problem
from services.tuner.domain.reading import problem_from_frame

ROWS = 200


@pytest.fixture
def frame() -> pd.DataFrame:
    """Two numbers, of which one tells something of the class."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=ROWS)
    noisy = values + generator.normal(size=ROWS)
    return pd.DataFrame(
        {"a": values, "b": generator.normal(size=ROWS), "y": np.where(noisy > 0, "yes", "no")}
    )


def said(frame: pd.DataFrame, test: Problem | None = None) -> list[str]:
    """Returns what is said of a frame with the target `y`."""
    return list(cautions(problem_from_frame(frame, "y"), test))


def test_nothing_is_said_of_good_data(frame: pd.DataFrame) -> None:
    """Who is warned of everything heeds nothing."""
    assert said(frame) == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda truth: truth.map({"yes": 1.0, "no": 0.0}),
        lambda truth: truth.map({"yes": "paid", "no": "due"}),
        lambda truth: pd.Series(np.where(truth == "yes", np.nan, np.arange(len(truth)) + 0.5)),
    ],
    ids=["number", "category", "missing"],
)
def test_a_column_that_equals_the_target_is_named(frame: pd.DataFrame, leak: object) -> None:
    """Whatever its type: also where only that a value is missing tells it."""
    frame["outcome"] = leak(frame["y"])  # type: ignore[operator]
    [caution] = said(frame)
    assert "`outcome` alone tells the target" in caution


def test_a_number_that_equals_the_target_is_named(frame: pd.DataFrame) -> None:
    """A straight line through it is seen too."""
    frame["y"] = 3 * frame["a"] - 1
    frame["a"] += 0.001
    [caution] = said(frame)
    assert caution.startswith("Column `a` alone tells the target")


def test_identifiers_and_constants_are_named(frame: pd.DataFrame) -> None:
    """Nothing about new rows follows from them."""
    frame["id"] = np.random.default_rng(1).permutation(ROWS)
    frame["key"] = [f"k{number:04d}" for number in range(ROWS)]
    frame["same"] = "x"
    identifiers, constants = said(frame)
    assert identifiers.startswith("Columns `id`, `key` look like identifiers")
    assert constants.startswith("Column `same` holds a single value")


def test_repeated_rows_are_counted_within_and_across(frame: pd.DataFrame) -> None:
    """Test rows that were learned from make a score too good."""
    test = problem_from_frame(frame.iloc[:50].reset_index(drop=True), "y")
    within, across = said(pd.concat([frame, frame.iloc[:20]], ignore_index=True), test)
    assert "20 of 220 rows repeat" in within
    assert "50 of 50 test rows" in across


def test_a_class_of_one_row_is_named(frame: pd.DataFrame) -> None:
    """No fold can judge whether it is learned."""
    frame.loc[0, "y"] = "maybe"
    [caution] = said(frame)
    assert caution.startswith("The class `maybe` has a single row")


def test_leaks_are_looked_for_as_long_as_there_is_time(frame: pd.DataFrame) -> None:
    """A table of 10,000 columns may not take the time of the search."""
    frame["outcome"] = frame["y"]
    assert not cautions(problem_from_frame(frame, "y"), None, 0.0, lambda: 0.0)
