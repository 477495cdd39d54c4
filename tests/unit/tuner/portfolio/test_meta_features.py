"""What a problem is like: finite, quick, told apart, and nothing of the data themselves."""

import time

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from services.tuner.domain.portfolio.meta_features import meta_features
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame


def table(rows: int, columns: int = 20, seed: int = 0) -> pd.DataFrame:
    """Returns numbers whose sum tells a class."""
    values = np.random.default_rng(seed).normal(size=(rows, columns))
    frame = pd.DataFrame(values, columns=[f"x{place}" for place in range(columns)])
    frame["kind"] = np.where(values.sum(axis=1) > 0, "above", "below")
    return frame


def problem(frame: pd.DataFrame, kind: ProblemKind | None = None) -> Problem:
    """Returns the problem of a table."""
    return problem_from_frame(frame, "kind", kind)


def test_they_take_less_than_50_ms_for_10_000_rows() -> None:
    data = problem(table(10_000))
    meta_features(data)
    took = []
    for _ in range(5):
        start = time.process_time()
        with threadpool_limits(1, "blas"):  # as in the process of a search
            meta_features(data)
        took.append(time.process_time() - start)
    assert min(took) < 0.05


def test_they_say_what_the_data_are_like() -> None:
    found = meta_features(problem(table(1_000)))
    assert found["log_rows"] == pytest.approx(np.log(1_000), abs=1e-3)
    assert found["log_columns"] == pytest.approx(np.log(20), abs=1e-3)
    assert found["entropy"] > 0.99
    assert found["line"] > 0.4 > 0.2 > found["tree"]
    assert found["dimension"] > 0.9


def test_landmarks_tell_lines_from_steps() -> None:
    frame = table(1_000, columns=6)
    line = meta_features(problem(frame))
    is_in = (np.abs(frame["x0"]) < 0.7) & (frame["x1"] < 0.5)
    frame["kind"] = np.where(is_in, "above", "below")
    steps = meta_features(problem(frame))
    assert line["line"] > 0.4 > line["tree"]
    assert steps["tree"] > 0.5 > steps["line"]


@pytest.mark.filterwarnings("ignore:overflow")  # of statistics of columns, when they are read
@pytest.mark.parametrize(
    "target",
    [np.arange(40) % 2, np.arange(40) % 20, np.r_[1, np.zeros(39)], np.linspace(-1e300, 1e300, 40)],
    ids=["two", "many", "rare", "huge"],
)
def test_they_are_finite_whatever_the_data(target: npt.NDArray[np.float64]) -> None:
    frame = pd.DataFrame(
        {
            "constant": np.ones(40),
            "missing": np.full(40, np.nan),
            "huge": np.where(np.arange(40) % 3, 1e308, -1e308),
            "infinite": np.where(np.arange(40) % 7, 1.0, np.inf),
            "name": pd.Series([None, "a", "b", "c"] * 10, dtype=object),
            "text": pd.Series([f"a text of row {row} and more words" for row in range(40)]),
            "kind": target,
        }
    )
    found = meta_features(problem(frame))
    assert np.isfinite(list(found.values())).all()


def test_labels_have_some_too() -> None:
    frame = table(200, columns=4)
    frame["a"], frame["b"] = frame["x0"] > 0, frame["x1"] > 1
    found = meta_features(problem_from_frame(frame.drop(columns="kind"), ["a", "b"]))
    assert found["rarest"] < 0 and found["log_classes"] == pytest.approx(np.log(2), abs=1e-3)


def test_a_problem_without_columns_or_hardly_any_rows_has_some() -> None:
    assert meta_features(problem(table(30)).with_columns([]))["line"] == 0.0
    assert np.isfinite(list(meta_features(problem(table(4))).values())).all()


def test_names_and_values_are_not_among_them() -> None:
    names = set(meta_features(problem(table(50))))
    assert names.isdisjoint({"x0", "kind", "above", "below"})
