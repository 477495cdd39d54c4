"""Preparations: what becomes of columns, whatever is in them, and that models of them are kept."""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from common.data.schema import ColumnType
from common.models.estimators.calendar import PARTS, calendar
from common.models.estimators.target_codes import TargetCodes
from common.models.skops_model import open_skops
from services.tuner.domain.preparation.preparing import (
    Wanted,
    category_positions,
    preparation,
    preparation_parameters,
)
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.reading import problem_from_frame
from services.tuner.domain.space.parameter import Choice, Parameter
from tests.support.foreign_models import skops_file

ROWS = 300
WORDS = np.array(["good", "bad", "ugly", "12", "Nice", "place", "food", "awful", "lovely"])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """A preparation never warns: what it meets is what it is for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def mixed(rows: int = ROWS) -> pd.DataFrame:
    """Returns a table with gaps in columns of every type."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.normal(40, 10, rows),
            "income": generator.exponential(1.0, rows),
            "member": generator.integers(0, 2, rows).astype(float),
            "city": pd.Series(generator.choice(["rome", "oslo", "bern"], rows), dtype=object),
            "shop": pd.Series([f"s{each % 280}" for each in range(rows)], dtype=object),
            "seen": 1.5e9 + generator.integers(0, 10**8, rows),
            "left": 1.6e9 + generator.integers(0, 10**8, rows),
            "note": pd.Series(
                [" ".join(generator.choice(WORDS, 6)) for _ in range(rows)], dtype=object
            ),
        }
    )
    names = [name for name in frame if name not in ("income", "shop")]
    frame.loc[3:9, names] = np.nan
    frame["target"] = np.where((frame.income > 0.7) ^ (frame.city == "rome"), "yes", "no")
    return frame


TYPES = {
    "member": ColumnType.BOOLEAN,
    "shop": ColumnType.CATEGORICAL,
    "seen": ColumnType.TIMESTAMP,
    "left": ColumnType.TIMESTAMP,
    "note": ColumnType.TEXT,
}


def problem(*names: str) -> Problem:
    """Returns the problem of the mixed table, or of some of its columns."""
    whole = problem_from_frame(mixed(), "target", types=TYPES)
    return whole.with_columns(names) if names else whole


def prepared(of: Problem, wanted: Wanted, **settings: Any) -> Any:
    """Returns what a preparation makes of the rows it is fitted on."""
    configuration = {f"prepare.{name}": value for name, value in settings.items()}
    return preparation(of, configuration, wanted, 0).fit_transform(of.features, of.truth)


def settings_of(parameters: tuple[Parameter, ...]) -> Iterator[dict[str, Any]]:
    """Yields configurations, each with one parameter at another value than its default."""
    for parameter in parameters:
        values = (
            parameter.values if isinstance(parameter, Choice) else map(parameter.at, (0.0, 0.9))
        )
        for value in values:
            yield {parameter.name: value}


@pytest.mark.parametrize("wanted", Wanted)
def test_every_setting_gives_numbers_and_the_same_for_one_row(wanted: Wanted) -> None:
    """A row for itself, whose columns are in another order, is prepared as among others."""
    whole = problem()
    shuffled = whole.features[list(whole.features)[::-1]].assign(other=1)
    for settings in settings_of(preparation_parameters(whole, wanted)):
        transformer = preparation(whole, settings, wanted, 0)
        transformer.fit(whole.features, whole.truth)
        rows = dense(transformer.transform(whole.features))
        assert not np.isinf(rows).any()
        assert wanted is Wanted.CODES or not np.isnan(rows).any(), settings
        for place in (5, 200):
            single = dense(transformer.transform(shuffled.iloc[[place]]))
            np.testing.assert_allclose(single[0], rows[place], atol=1e-9, err_msg=str(settings))


def dense(matrix: Any) -> Any:
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.mark.parametrize("wanted", Wanted)
def test_only_what_matters_can_be_set(wanted: Wanted) -> None:
    """A search over a table of plain numbers wastes no trial on texts and categories."""
    numbers = preparation_parameters(problem("income"), wanted)
    assert [each.name for each in numbers] == (
        [] if wanted is Wanted.CODES else ["prepare.scaling"]
    )
    texts = {each.name for each in preparation_parameters(problem("note"), wanted)}
    assert "prepare.text_characters" in texts
    assert not texts & {"prepare.scaling", "prepare.categories", "prepare.imputation"}
    few = {each.name for each in preparation_parameters(problem("city"), wanted)}
    assert {"prepare.categories", "prepare.smoothing"} == few


def test_codes_are_numbers_as_they_are_and_levels_in_order() -> None:
    """Trees see gaps as gaps; the codes are where `category_positions` says."""
    some = problem("age", "member", "city")
    codes = prepared(some, Wanted.CODES)
    np.testing.assert_array_equal(codes[:, :2], some.features[["age", "member"]])
    assert category_positions(some, {}) == [2]
    assert category_positions(some, {"prepare.categories": "target"}) == []
    levels = {0.0: "bern", 1.0: "oslo", 2.0: "rome"}
    assert [levels.get(code, "") for code in codes[:, 2]] == some.features.city.fillna("").tolist()


def test_numbers_written_as_labels_keep_their_order() -> None:
    """The codes of `10` and `9` are not those of the alphabet."""
    labels = ["10", "9", "1.5"] * 10
    frame = pd.DataFrame({"doors": labels, "target": ["a", "b"] * 15})
    of = problem_from_frame(frame, "target", types={"doors": ColumnType.CATEGORICAL})
    assert prepared(of, Wanted.CODES)[:3, 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize("wanted", Wanted)
def test_what_was_not_there_when_it_was_fitted(wanted: Wanted) -> None:
    """Unseen levels and words, new gaps, infinities: numbers come out, and nothing is raised."""
    whole = problem()
    transformer = preparation(whole, {}, wanted, 0).fit(whole.features, whole.truth)
    strange = whole.features.iloc[:40].assign(
        city="atlantis", shop=np.nan, note="perfectly new", income=np.inf, age=-np.inf, seen=1e300
    )
    for rows in (strange, strange.iloc[:2]):
        found = dense(transformer.transform(rows))
        assert not np.isinf(found).any()
        assert wanted is Wanted.CODES or (np.abs(found) < 1e4).all()


def test_a_missing_column_and_texts_for_numbers_are_named() -> None:
    """A caller learns which column is wrong, for one row and for many."""
    whole = problem()
    transformer = preparation(whole, {}, Wanted.CODES, 0).fit(whole.features, whole.truth)
    for rows in (whole.features, whole.features.iloc[:1]):
        with pytest.raises(ValueError, match="column `city` is missing"):
            transformer.transform(rows.drop(columns="city"))
        with pytest.raises(ValueError, match="column `age` holds other values than numbers"):
            transformer.transform(rows.assign(age="old"))


def test_other_types_of_data_mean_the_same() -> None:
    """Whoever predicts in a notebook has categories, times and truth values as pandas has them."""
    whole = problem()
    transformer = preparation(whole, {}, Wanted.CODES, 0).fit(whole.features, whole.truth)
    others = whole.features.assign(
        member=pd.array(whole.features.member.map({1: True, 0: False}), "boolean"),
        city=whole.features.city.astype("category"),
        note=whole.features.note.astype("string"),
        seen=pd.to_datetime(whole.features.seen, unit="s"),
        left=pd.to_datetime(whole.features.left, unit="s", utc=True),
    )
    for rows in (slice(None), slice(0, 12)):
        np.testing.assert_allclose(
            transformer.transform(others[rows]),
            transformer.transform(whole.features[rows]),
            rtol=1e-6,
        )


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("categories", ["default", "target", "ordinal"])
def test_columns_that_tell_nothing(wanted: Wanted, categories: str) -> None:
    """Constant, empty, infinite columns, and no column at all: a matrix comes out."""
    frame = pd.DataFrame(
        {
            "same": 1.0,
            "none": np.nan,
            "huge": [np.inf, -np.inf, np.nan, 1.0] * 5,
            "endless": [np.inf, np.nan] * 10,
            "label": "x",
            "empty": None,
            "target": ["a", "b"] * 10,
        }
    )
    types = {"label": ColumnType.CATEGORICAL, "empty": ColumnType.CATEGORICAL}
    of = problem_from_frame(frame, "target", types=types)
    for chosen in (of, of.with_columns(["same"]), of.with_columns(["empty"]), of.with_columns([])):
        found = dense(prepared(chosen, wanted, categories=categories))
        assert found.shape[0] == 20
        assert found.shape[1] > 0
        assert not np.isinf(found).any()


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile", "mixed"])
def test_scales_are_alike(scaling: str) -> None:
    """Estimators that measure distances see no column before the others."""
    some = problem("age", "income", "member")
    found = prepared(some, Wanted.MATRIX, scaling=scaling)
    assert found.shape == (ROWS, 5)  # Two of three have gaps, which are marked.
    assert (np.abs(np.median(found[:, :2], axis=0)) < 0.4).all()
    spread = found[:, :3].std(axis=0)
    assert ((spread > 0.6) & (spread < 2)).all()
    if scaling in ("quantile", "mixed"):
        assert abs(np.mean(found[:, 1] ** 3)) < 0.2


def test_rare_levels_share_an_indicator_and_many_levels_are_sparse() -> None:
    """One-hot columns stay as few, and as light, as told."""
    some = problem("shop")
    assert some.columns[0].distinct_count == 280
    wide = prepared(some, Wanted.MATRIX, high_cardinality="one_hot")
    assert sparse.issparse(wide)
    assert wide.shape == (ROWS, 280)
    assert prepared(some, Wanted.MATRIX, high_cardinality="one_hot", least_rows=2).shape == (
        ROWS,
        21,
    )
    assert prepared(some, Wanted.MATRIX, high_cardinality="one_hot", most_levels=50).shape == (
        ROWS,
        51,
    )
    assert prepared(some, Wanted.MATRIX, high_cardinality="target").shape == (ROWS, 1)


def test_targets_are_taken_from_other_rows() -> None:
    """A label that occurs once tells nothing of its own row, whatever the smoothing."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 400)
    alone = np.arange(400.0)[:, None]
    found = TargetCodes([0], True, smoothing=1.0).fit_transform(alone, truth)
    assert abs(np.corrcoef(found[:, 0], truth)[0, 1]) < 0.15
    pairs = np.where(truth, 1.0, 0.0)[:, None]
    encoder = TargetCodes([0], True, smoothing=1.0)
    assert np.corrcoef(encoder.fit_transform(pairs, truth)[:, 0], truth)[0, 1] > 0.99
    unseen = encoder.transform(np.array([[7.0], [np.nan]]))
    np.testing.assert_allclose(unseen, truth.mean())


@pytest.mark.parametrize(
    ("kind", "truth", "width"),
    [
        (ProblemKind.REGRESSION, np.linspace(0, 1, ROWS), 1),
        (ProblemKind.MULTICLASS, np.arange(ROWS) % 3, 3),
        (ProblemKind.BINARY, np.zeros(ROWS, np.int64), 1),
        (ProblemKind.MULTICLASS, np.r_[1, np.zeros(ROWS - 1, np.int64)], 1),
        (ProblemKind.MULTI_LABEL, np.ones((ROWS, 4), np.int8), 4),
    ],
)
def test_targets_of_every_kind(kind: ProblemKind, truth: np.ndarray, width: int) -> None:
    """Each class beyond two and each label has a column; one row of a class will do."""
    some = problem("shop")
    of = Problem(kind, some.columns, some.features, truth, ("a", "b", "c", "d"))
    assert prepared(of, Wanted.CODES).shape == (ROWS, width)
    assert prepared(of, Wanted.MATRIX, selection=0.5).shape[0] == ROWS


def test_calendar() -> None:
    """Also before 1970, in leap years, and where there is no time."""
    moments = ["2024-02-29T13:30:00", "1969-12-31T00:00:00", "2000-12-31T23:59:59"]
    seconds = np.array(moments, "datetime64[s]").astype(float)
    parts = calendar(np.append(seconds, [np.nan, np.inf]), is_cyclic=False)
    table = pd.DataFrame(parts, columns=list(PARTS))
    assert table.year[:3].tolist() == [2024, 1969, 2000]
    assert table.month[:3].tolist() == [2, 12, 12]
    assert table.day[:3].tolist() == [29, 31, 31]
    assert table.day_of_year[:3].tolist() == [60, 365, 366]
    assert table.weekday[:3].tolist() == [3, 2, 6]
    np.testing.assert_allclose(table.hour[:3], [13.5, 0, 24 - 1 / 3600])
    assert table.iloc[3:].isna().all(axis=None)


def test_the_time_between_two_times_is_a_column() -> None:
    """How long something took often says more than when it began."""
    some = problem("seen", "left")
    found = prepared(some, Wanted.CODES)[:, -1]
    np.testing.assert_allclose(found, some.features.left - some.features.seen)


def test_wide_tables() -> None:
    """A thousand columns over few rows: quick, and a share may be kept."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        generator.normal(size=(100, 1000)), columns=[f"x{each}" for each in range(1000)]
    )
    frame["target"] = np.where(frame.x7 > 0, "a", "b")
    of = problem_from_frame(frame, "target")
    assert prepared(of, Wanted.CODES, selection=0.05).shape == (100, 50)
    assert prepared(of, Wanted.MATRIX, components=32).shape == (100, 32)
    transformer = preparation(of, {"prepare.selection": 0.05}, Wanted.MATRIX, 0)
    transformer.fit(of.features, of.truth)
    assert 7 in transformer.parts[-1].kept_


MODELS: dict[str, tuple[Wanted, BaseEstimator, dict[str, Any]]] = {
    "lightgbm": (Wanted.CODES, LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1), {}),
    "histograms": (
        Wanted.CODES,
        HistGradientBoostingClassifier(max_iter=5),
        {"prepare.text_characters": 4},
    ),
    "linear": (
        Wanted.MATRIX,
        LogisticRegression(max_iter=200, C=0.1),
        {"prepare.interactions": True},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_are_kept_with_their_preparation(name: str) -> None:
    """From the file alone the model predicts the same from columns by name, however many rows."""
    warnings.simplefilter("ignore")  # LightGBM's own, about names.
    wanted, model, settings = MODELS[name]
    whole = problem()
    if isinstance(model, HistGradientBoostingClassifier):
        model.set_params(categorical_features=category_positions(whole, settings))
    steps = [("prepare", preparation(whole, settings, wanted, 0)), ("model", model)]
    estimator = clone(Pipeline(steps)).fit(whole.features, whole.truth)
    opened = open_skops(skops_file(estimator), "file")
    types = {each.name: each.dtype for each in opened.signature.inputs}
    texts = ("city", "shop", "note")
    assert types == {each: "object" if each in texts else "float64" for each in whole.features}
    for rows in (slice(None), slice(4, 5), slice(100, 101)):
        features = whole.features[rows]
        inputs = {each: features[each].to_numpy() for each in features}
        found = opened.predict(inputs)["probabilities"]
        expected = estimator.predict_proba(features)
        np.testing.assert_allclose(expected, found.astype(np.float64), rtol=1e-12)


def test_preparing_is_quick() -> None:
    """Thousands of fits must not wait for it, nor must who asks for a single row.

    Bounds are several times what is needed, for machines that do other things besides.
    """
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(25_000, 7)), columns=list("abcdefg"))
    for name in ("x", "y", "z"):
        frame[name] = pd.Series(generator.choice(list("klmnop"), 25_000), dtype=object)
    frame["target"] = generator.normal(size=25_000)
    of = problem_from_frame(frame, "target")
    transformer = preparation(of, {}, Wanted.CODES, 0)
    assert seconds_of(lambda: transformer.fit_transform(of.features, of.truth)) < 0.1
    row = of.features.iloc[:1]
    assert seconds_of(lambda: transformer.transform(row)) < 0.001


def seconds_of(action: Any) -> float:
    """Returns the least processor time of ten calls: others on the machine do not count."""
    taken = []
    for _ in range(10):
        start = time.process_time()
        action()
        taken.append(time.process_time() - start)
    return min(taken)
