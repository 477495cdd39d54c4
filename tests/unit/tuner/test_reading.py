"""Problems of data frames and of rows of the catalog."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import InvalidFieldError
from services.tuner.domain.problem import ProblemKind
from services.tuner.domain.reading import problem_from_frame, problem_from_rows

ROWS = 60
NUMBERS = np.arange(float(ROWS))
LABELS = ["no", "yes"] * (ROWS // 2)


def column(values: Any, wanted: ColumnType | None = None) -> tuple[Column, np.ndarray]:
    """Returns what is read of a column."""
    frame = pd.DataFrame({"x": values, "target": LABELS})
    types = {} if wanted is None else {"x": wanted}
    found = problem_from_frame(frame, "target", types=types)
    return found.columns[0], found.features.x.to_numpy()


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (NUMBERS, "numeric", 0.0),
        (pd.array([None, 1] * (ROWS // 2), "Int64"), "numeric", np.nan),
        (["1.5", "", *["2"] * (ROWS - 2)], "numeric", 1.5),
        (pd.to_timedelta(NUMBERS, unit="h"), "numeric", 0.0),
        ([True, False] * (ROWS // 2), "boolean", 1.0),
        ([None, True] * (ROWS // 2), "boolean", np.nan),
        (["True", "false"] * (ROWS // 2), "boolean", 1.0),
        (pd.date_range("1970-01-02", periods=ROWS, tz="UTC"), "timestamp", 86_400.0),
        (["1970-01-02T00:00:01", None] * (ROWS // 2), "timestamp", 86_401.0),
        (["a", None] * (ROWS // 2), "categorical", "a"),
        (pd.Series([2, 1] * (ROWS // 2), dtype="category"), "categorical", "2"),
        ([None, *[f"text {each}" for each in range(ROWS - 1)]], "text", np.nan),
    ],
)
def test_types_are_guessed_as_by_an_import(values: Any, kind: str, first: Any) -> None:
    """Numbers and times are float64, texts are plain objects, and gaps are NaN."""
    found, read = column(values)
    assert found.type == kind
    assert read.dtype == (object if kind in ("categorical", "text") else np.float64)
    assert read[0] == first or (np.isnan(first) and np.isnan(read[0]))
    assert found.missing_count == pd.isna(read).sum()


@pytest.mark.parametrize(
    ("rows", "share", "kind"),
    [
        (30_000, 0.7, ColumnType.CATEGORICAL),
        (30_000, 0.8, ColumnType.TEXT),
        (10_000, 0.7, ColumnType.TEXT),
    ],
)
def test_of_very_many_codes_some_may_be_there_once(
    rows: int, share: float, kind: ColumnType
) -> None:
    """Names of users are levels though half of them came once; names that differ teach nothing."""
    levels = round(share * rows)
    codes = [f"u{place % levels}" for place in range(rows)]
    frame = pd.DataFrame({"user": codes, "y": [place % 2 for place in range(rows)]})
    problem = problem_from_frame(frame, "y")
    assert problem.columns[0].type is kind


def test_many_levels_that_repeat_are_categories() -> None:
    """Also beyond the thousand that the catalog knows; long texts that repeat stay texts."""
    names = [f"shop {each % 1500}" for each in range(4000)]
    notes = [f"a note of more than a few words {each % 1500}" for each in range(4000)]
    frame = pd.DataFrame({"shop": names, "note": notes, "target": ["a", "b"] * 2000})
    shop, note = problem_from_frame(frame, "target").columns
    assert (shop.type, shop.distinct_count, shop.categories) == ("categorical", 1500, ())
    assert (note.type, note.text_length is not None) == ("text", True)


def test_types_that_are_told() -> None:
    """Whoever knows better is believed; what cannot be is refused by name."""
    assert column([0, 1] * (ROWS // 2), ColumnType.BOOLEAN)[0].type == "boolean"
    assert column(NUMBERS, ColumnType.CATEGORICAL)[1][3] == "3"
    assert column(NUMBERS, ColumnType.TIMESTAMP)[1][3] == 3.0
    for wanted in (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.TIMESTAMP, ColumnType.IMAGE):
        with pytest.raises(ValueError, match="`x`"):
            column(LABELS, wanted)


@pytest.mark.parametrize(
    ("target", "kind", "outputs", "first"),
    [
        (LABELS, "binary", ("no", "yes"), 0),
        ([True, False] * (ROWS // 2), "binary", ("false", "true"), 1),
        ([10, 9, 1] * (ROWS // 3), "multiclass", ("1", "9", "10"), 2),
        (NUMBERS, "regression", ("target",), 0.0),
        ([0.5, 1] * (ROWS // 2), "regression", ("target",), 0.5),
    ],
)
def test_kinds(target: Any, kind: str, outputs: tuple[str, ...], first: float) -> None:
    """The target says what it is, as by an import; classes are in natural order."""
    found = problem_from_frame(pd.DataFrame({"x": NUMBERS, "target": target}), "target")
    assert (found.kind, found.outputs, found.truth[0]) == (kind, outputs, first)


def test_many_labels_weights_and_groups() -> None:
    """Columns that are told by name are no features."""
    frame = pd.DataFrame(
        {
            "x": NUMBERS,
            **{"red": [0, 1] * 30, "blue": [True, False] * 30},
            **{"weight": NUMBERS + 1, "customer": ["b", "b", "a"] * 20},
        }
    )
    found = problem_from_frame(frame, ["red", "blue"], weights="weight", groups="customer")
    assert found.kind is ProblemKind.MULTI_LABEL
    assert found.names(*ColumnType) == ["x"]
    assert found.truth[:2].tolist() == [[0, 1], [1, 0]]
    assert found.weights is not None
    assert found.weights[2] == 3
    assert found.groups is not None
    assert found.groups[:3].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (["a"] * ROWS, None, "single class"),
        (["a", None] * (ROWS // 2), None, "no value in row 2"),
        (LABELS, ProblemKind.REGRESSION, "other values than finite numbers"),
        ([np.inf, 1.0] * (ROWS // 2), ProblemKind.REGRESSION, "other values than finite numbers"),
        (["a", "b", "c"] * (ROWS // 3), ProblemKind.BINARY, "3 classes"),
        (LABELS, ProblemKind.MULTI_LABEL, "other values than true and false"),
    ],
)
def test_targets_that_will_not_do(target: Any, kind: ProblemKind | None, message: str) -> None:
    """The message says what is wrong with the target."""
    with pytest.raises(InvalidFieldError, match=message):
        problem_from_frame(pd.DataFrame({"x": NUMBERS, "target": target}), "target", kind)
    with pytest.raises(InvalidFieldError, match="no column `other`"):
        problem_from_frame(pd.DataFrame({"x": NUMBERS}), "other")


SCHEMA = Schema(
    (
        Column("n", ColumnType.NUMERIC),
        Column("b", ColumnType.BOOLEAN),
        Column("c", ColumnType.CATEGORICAL, categories=("u", "v")),
        Column("t", ColumnType.TIMESTAMP),
        Column("s", ColumnType.TEXT),
        Column("e", ColumnType.EMBEDDING, shape=(2,)),
        Column("i", ColumnType.IMAGE, shape=(1, 1, 1)),
        Column("y", ColumnType.CATEGORICAL, categories=("l", "m", "never")),
    ),
    Task.CLASSIFICATION,
    "y",
    targets=("y",),
)
RAW = RawRows(
    {
        "n": np.array([1.0, np.nan], np.float32),
        "b": np.array([1, -1], np.int32),
        "c": np.array([1, -1], np.int32),
        "t": np.array([1_500_000, np.iinfo(np.int64).min], np.int64),
        "s": np.array(["text", None], object),
        "e": np.array([[1, 2], [3, 4]], np.float32),
        "i": np.zeros((2, 1, 1, 1), np.uint8),
        "y": np.array([1, 0], np.int32),
    }
)


def test_rows_of_the_catalog() -> None:
    """Codes become labels, times seconds, vectors columns; classes are those that there are."""
    found = problem_from_rows(RAW, SCHEMA)
    assert (found.kind, found.outputs, found.truth.tolist()) == ("binary", ("l", "m"), [1, 0])
    first, second = found.features.to_dict("records")
    vectors = {"e.0": 1, "e.1": 2}
    assert first == {"n": 1, "b": 1, "c": "v", "t": 1.5, "s": "text", **vectors, "i": b"\0"}
    assert {name for name, value in second.items() if value != value} == {"n", "b", "c", "t", "s"}
    assert found.features[["c", "s"]].dtypes.tolist() == [object, object]


def test_a_number_may_be_a_class() -> None:
    """The schema's task counts, unless another kind is told."""
    schema = Schema(SCHEMA.columns, Task.CLASSIFICATION, "n", targets=("n",))
    raw = RawRows({**RAW.columns, "n": np.array([0.5, 2.0])})
    assert problem_from_rows(raw, schema).outputs == ("0.5", "2")
    found = problem_from_rows(raw, schema, ProblemKind.REGRESSION, left_out=["e", "s"])
    assert (found.kind, found.names(*ColumnType)) == ("regression", ["b", "c", "t", "i", "y"])
