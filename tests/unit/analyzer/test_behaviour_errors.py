"""Errors: of regressions, of outliers, of the rows that are most wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from common.data.schema import Column, ColumnType, Task
from services.analyzer.domain.behaviour.observed import Observed
from services.analyzer.domain.behaviour.outliers import outlier_errors
from services.analyzer.domain.behaviour.residuals import residuals
from services.analyzer.domain.behaviour.wrong_rows import wrong_rows
from services.analyzer.domain.sample import Sample
from tests.support.analysis import sample_of
from tests.unit.analyzer.behaviour_support import observed_of

ROWS = 2000
Numbers = npt.NDArray[np.float64]
NORMAL: Numbers = np.random.default_rng(0).normal(size=ROWS)


def valued(found: Numbers, errors: Numbers, **options: object) -> Observed:
    """Returns a regression with these predictions and errors."""
    return observed_of(found[:, None], found - errors, Task.REGRESSION, ["pay"], False, **options)


def test_bias_by_tenths() -> None:
    """A bias for large predictions alone shows in the last tenths, with intervals around it."""
    found = np.arange(ROWS) / ROWS
    off = residuals(valued(found, NORMAL + 3 * (found >= 0.8)), 0)
    bias = [each.bias for each in off.summary.by_prediction]
    assert [each.rows for each in off.summary.by_prediction] == [200] * 10
    assert bias == pytest.approx([0] * 8 + [3] * 2, abs=0.3)
    assert all(each.bias_low < each.bias < each.bias_high for each in off.summary.by_prediction)
    errors = (NORMAL + 3 * (found >= 0.8))[:200]
    first = off.summary.by_prediction[0]
    assert first.mean_absolute_error == pytest.approx(np.abs(errors).mean())
    assert first.root_mean_squared_error == pytest.approx(np.sqrt((errors**2).mean()))


@pytest.mark.parametrize(
    ("spread", "sign"),
    [
        (lambda found: np.ones(ROWS), 0),
        (lambda found: 0.2 + found, 1),
        (lambda found: 1.2 - found, -1),
    ],
)
def test_growing_spread(spread: Callable[[Numbers], Numbers], sign: int) -> None:
    """Errors that grow or shrink with the prediction are told from those that do not."""
    found = np.arange(ROWS) / ROWS
    summary = residuals(valued(found, NORMAL * spread(found)), 0).summary
    assert summary.spread_correlation is not None
    assert summary.spread_p_value is not None
    if sign:
        assert sign * summary.spread_correlation > 0.2
        assert summary.spread_p_value < 1e-6
    else:
        assert abs(summary.spread_correlation) < 0.1
        assert summary.spread_p_value > 0.01


def test_spread_that_is_largest_in_the_middle() -> None:
    """Spread that is not one-sided has no correlation, but is found by the test."""
    found = np.arange(ROWS) / ROWS
    summary = residuals(valued(found, NORMAL * (1.1 - np.abs(2 * found - 1))), 0).summary
    assert summary.spread_p_value is not None
    assert summary.spread_p_value < 1e-6


def test_shape_of_errors() -> None:
    """Skewness, kurtosis and quantiles are scipy's; equal errors have no shape."""
    errors = np.random.default_rng(0).exponential(size=ROWS)
    summary = residuals(valued(NORMAL, errors), 0).summary
    assert summary.skewness == pytest.approx(stats.skew(errors))
    assert summary.excess_kurtosis == pytest.approx(stats.kurtosis(errors))
    assert summary.quantiles[10] == pytest.approx(np.median(errors))
    flat = residuals(valued(np.zeros(50), np.zeros(50)), 0).summary
    assert (flat.skewness, flat.spread_correlation) == (None, None)
    assert len(flat.by_prediction) == 1


def test_drawn_points_are_bounded() -> None:
    """Of many rows some are drawn, but all are counted."""
    found = np.random.default_rng(0).normal(size=10_000)
    off = residuals(valued(found, found / 2), 0)
    assert len(off.errors) == len(off.predictions) == 3000
    assert off.counts.sum() == 10_000


def test_outliers_with_more_errors() -> None:
    """Ratio, share and Fisher's exact test of right and wrong rows."""
    marked = np.arange(200) < 40
    wrong = np.concatenate([np.arange(40) < 20, np.arange(160) < 16])
    seen = observed_of(np.eye(2)[wrong.astype(int)], np.zeros(200, np.int64), marked=marked)
    found = outlier_errors(seen)
    assert found is not None
    assert (found.error_marked, found.error_unmarked, found.ratio) == (0.5, 0.1, 5)
    assert found.share_of_errors == pytest.approx(20 / 36)
    assert found.p_value == pytest.approx(stats.fisher_exact([[20, 20], [16, 144]]).pvalue)
    assert found.ratio_low is not None
    assert found.ratio_high is not None
    expected = stats.contingency.relative_risk(20, 40, 16, 160).confidence_interval()
    assert (found.ratio_low, found.ratio_high) == pytest.approx(tuple(expected), rel=0.03)


def test_outliers_of_a_regression() -> None:
    """Sizes of errors are compared by ranks."""
    marked = np.arange(ROWS) < 100
    errors = NORMAL * np.where(marked, 4, 1)
    found = outlier_errors(valued(NORMAL, errors, marked=marked))
    assert found is not None
    assert found.p_value < 1e-6
    assert found.ratio == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("marked", [None, np.zeros(40), np.ones(40)])
def test_nothing_to_say_of_outliers(marked: Numbers | None) -> None:
    """Without a scan, or with all rows alike, there is nothing to compare."""
    seen = observed_of(np.eye(2)[np.arange(40) % 2], np.zeros(40, np.int64), marked=marked)
    assert outlier_errors(seen) is None


def test_outliers_without_errors_elsewhere() -> None:
    """A ratio to no errors at all is left unset."""
    marked = np.arange(40) < 5
    seen = observed_of(np.eye(2)[marked.astype(int)], np.zeros(40, np.int64), marked=marked)
    found = outlier_errors(seen)
    assert found is not None
    assert (found.ratio, found.ratio_low, found.share_of_errors) == (None, None, 1)


def test_the_surest_errors_come_first() -> None:
    """Only wrong rows, those first where the model was most against the truth."""
    second = np.array([0.9, 0.6, 0.99, 0.2, 0.51])
    truth = np.array([0, 0, 1, 0, 0])
    rows = wrong_rows(observed_of(np.column_stack([1 - second, second]), truth)).rows
    assert [row.row for row in rows] == [0, 1, 4]
    assert (rows[0].truth, rows[0].prediction) == ("class 0", "class 1")
    assert rows[0].probability == pytest.approx(0.9)


def test_rows_that_are_furthest_off() -> None:
    """Of a regression the largest errors, at most 20, with their sign."""
    errors = np.arange(-30.0, 30)
    rows = wrong_rows(valued(np.zeros(60), errors)).rows
    assert len(rows) == 20
    assert [rows[0].row, rows[0].error, rows[0].truth] == [0, -30, "30"]


def test_labels_in_words() -> None:
    """What is true of several labels, and what is predicted, are told by name."""
    outputs = np.array([[0.9, 0.1], [0.1, 0.2]])
    truth = np.array([[True, True], [False, False]])
    (row,) = wrong_rows(observed_of(outputs, truth, Task.MULTI_LABEL, ["rain", "wind"])).rows
    assert (row.truth, row.prediction, row.error) == ("rain, wind", "rain", 0.5)


def test_values_of_the_columns_that_matter() -> None:
    """The column that predictions go with comes first; missing values are called so."""
    size = np.arange(60.0)
    columns = {
        "noise": Column("noise", ColumnType.NUMERIC),
        "size": Column("size", ColumnType.NUMERIC),
        "kind": Column("kind", ColumnType.CATEGORICAL, categories=("a", "b")),
        "note": Column("note", ColumnType.TEXT),
        "seen": Column("seen", ColumnType.TIMESTAMP),
    }
    values = {
        "noise": np.where(np.arange(60) == 0, np.nan, NORMAL[:60]),
        "size": size,
        "kind": np.array([-1, *(np.arange(59) % 2)], np.int32),
        "note": np.array([None, *["word " * 90] * 59], object),
        "seen": np.array([np.iinfo(np.int64).min, *[86_400_000_000] * 59], np.int64),
    }
    sample = sample_of(columns, values, None)
    rows = wrong_rows(valued(size, np.arange(60, 0, -1.0), sample=sample)).rows
    assert rows[0].values[0].column == "size"
    told = {each.column: each.value for each in rows[0].values}
    assert told == dict.fromkeys(("noise", "kind", "note", "seen"), "missing") | {"size": "0"}
    second = {each.column: each.value for each in rows[1].values}
    assert second["seen"] == "1970-01-02"
    assert second["kind"] == "a"
    assert len(second["note"]) <= 48


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 8, 8), (8, 8)),
        ((3, 200, 100), (64, 32, 3)),
        ((2, 5, 5), (5, 5)),
        ((4, 6, 6), (6, 6, 3)),
    ],
)
def test_pictures_are_small(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Images of any channels become pictures of at most 64 pixels a side, in the right colours."""
    images = np.zeros((4, *shape), np.uint8)
    images[:, 0] = 200
    columns = {"photo": Column("photo", ColumnType.IMAGE, shape=shape)}
    sample = sample_of(columns, {"photo": images}, None)
    seen = observed_of(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 0, 1]), sample=sample)
    (picture,) = wrong_rows(seen).pictures
    assert picture.shape == expected
    assert picture.reshape(*expected[:2], -1)[..., 0].min() == 200


def test_images_are_not_copied_to_choose_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand images would be gigabytes."""
    taken: set[str] = set()
    take = Sample.take

    def watched(sample: Sample, chosen: Any) -> Sample:
        taken.update(sample.raw.columns)
        return take(sample, chosen)

    monkeypatch.setattr(Sample, "take", watched)
    photo, age = np.zeros((4, 1, 8, 8), np.uint8), np.arange(4.0)
    columns = {
        "photo": Column("photo", ColumnType.IMAGE, shape=(1, 8, 8)),
        "age": Column("age", ColumnType.NUMERIC),
    }
    sample = sample_of(columns, {"photo": photo, "age": age}, None)
    seen = observed_of(np.eye(2)[[0, 0, 1, 1]], np.array([0, 0, 0, 1]), sample=sample)
    (row,) = wrong_rows(seen).rows
    assert [each.column for each in row.values] == ["age"]
    assert taken == {"age"}
