"""Rows of a data set as models take them by name: times, and single numbers of vectors."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from aimass.catalog.v1 import model_pb2
from common.data.rows import RawRows
from common.data.schema import Column, ColumnType
from common.models.frames import FrameColumn
from common.models.inputs import MisfitError, inputs_of_rows
from common.models.sample_rows import SampleRows, sample_rows
from common.models.skops_model import SkopsModel

NO_TIME = np.iinfo(np.int64).min
COLUMNS = [
    Column("when", ColumnType.TIMESTAMP),
    Column("vector", ColumnType.EMBEDDING, shape=(2,)),
    Column("size", ColumnType.NUMERIC),
]
RAW = RawRows(
    {
        "when": np.array([1_500_000, NO_TIME]),
        "vector": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
        "size": np.array([5.0, 6.0]),
    }
)


def model_of(*names: str) -> SkopsModel:
    """A model of columns that it takes by name; of one name alone a matrix."""
    is_named = len(names) > 1
    shape = [-1] if is_named else [-1, 3]
    inputs = [model_pb2.TensorSpec(name=each, dtype="float64", shape=shape) for each in names]
    columns = tuple(FrameColumn(each, "float64") for each in names)
    return SkopsModel(LinearRegression(), columns, is_named, model_pb2.Signature(inputs=inputs))


def test_times_are_seconds_and_vectors_are_taken_apart() -> None:
    """As the tuner's models take them."""
    found = inputs_of_rows(
        model_of("when", "vector.1", "size"), sample_rows(RAW, COLUMNS, target=None)
    )
    np.testing.assert_array_equal(found["when"], [1.5, np.nan])
    np.testing.assert_array_equal(found["vector.1"], [2.0, 4.0])


def test_times_are_no_part_of_a_matrix() -> None:
    """Nobody asked for them."""
    found = inputs_of_rows(model_of("features"), sample_rows(RAW, COLUMNS, target=None))
    np.testing.assert_array_equal(found["features"], [[1, 2, 5], [3, 4, 6]])


@pytest.mark.parametrize("name", ["vector.2", "vector.01", "vector.", "size.0", ".0", "when.0"])
def test_there_is_nothing_by_other_names(name: str) -> None:
    with pytest.raises(MisfitError, match="has no column"):
        inputs_of_rows(model_of(name, "size"), sample_rows(RAW, COLUMNS, target=None))


def test_forecasters_take_the_target_by_name() -> None:
    """They go on from its past; it is no part of a matrix."""
    rows = sample_rows(RAW, COLUMNS[:2], COLUMNS[2])
    found = inputs_of_rows(model_of("when", "size"), rows)
    np.testing.assert_array_equal(found["size"], [5.0, 6.0])
    assert "size" not in rows.columns


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    sample_rows(RAW, COLUMNS, target=None).save(tmp_path / "rows.npz")
    found = SampleRows.load(tmp_path / "rows.npz")
    np.testing.assert_array_equal(found.by_name["when"], [1.5, np.nan])
    assert list(found.columns) == ["vector", "size"]


def test_rows_are_taken_in_any_order_and_more_than_once() -> None:
    """Of all columns alike, times and the target too."""
    rows = sample_rows(RAW, COLUMNS, COLUMNS[2])
    assert rows.count == 2
    taken = rows.take(np.array([1, 0, 1]))
    assert taken.count == 3
    assert taken.columns["size"].tolist() == [6, 5, 6]
    assert taken.columns["vector"].tolist() == [[3, 4], [1, 2], [3, 4]]
    assert np.isnan(taken.by_name["when"]).tolist() == [True, False, True]
    assert taken.target is not None
    assert taken.target.tolist() == [6, 5, 6]
    assert SampleRows().count == 0
