"""From stored rows to what is learned and what is tested on."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.blobs import put_artifact
from common.artifacts.memory import MemoryStore
from common.artifacts.reference import ArtifactReference
from common.data.messages import schema_to_proto
from common.data.schema import Column, ColumnType, Schema, Task
from common.errors import DataLossError, FailedPreconditionError
from common.protobuf import to_plain
from common.scoring.kinds import ProblemKind
from services.tuner.domain.specification import OutlierMarks, TuningSpecification
from services.tuner.loading import Loaded, load_problem

ROWS = 30
LABELS = ("blue", "green", "red")


@pytest.fixture
def columns() -> dict[str, Any]:
    """Two numbers, a time and a label of each row."""
    generator = np.random.default_rng(0)
    return {
        "a": generator.normal(size=ROWS),
        "b": np.arange(ROWS) % 4.0,
        "day": np.datetime64("1970-01-02", "us") + np.arange(ROWS) * np.timedelta64(1, "D"),
        "y": [LABELS[place % 2] for place in range(ROWS)],
    }


def loaded(columns: dict[str, Any], parts: Any = None, marks: Any = None, **more: Any) -> Loaded:
    """Stores rows, of which the last six are for tests, and what a scan says; loads them."""
    store = MemoryStore()
    if marks is not None:
        more["outliers"] = scan_of(store, marks)
    split = np.repeat([0, 1, 2], [20, 4, 6]).astype(np.int8) if parts is None else parts
    shard = dataset_pb2.Shard(row_count=ROWS)
    for part, values in ((shard.data, columns), (shard.split, {"split": split})):
        buffer = io.BytesIO()
        pq.write_table(pa.table(values), buffer)
        key = f"shards/{len(values)}.parquet"
        part.CopyFrom(put_artifact(store, key, buffer.getvalue(), "application/octet-stream"))
    schema = Schema(
        (
            Column("a", ColumnType.NUMERIC),
            Column("b", ColumnType.NUMERIC),
            Column("day", ColumnType.TIMESTAMP),
            Column("y", ColumnType.CATEGORICAL, categories=LABELS),
        ),
        Task.CLASSIFICATION,
        "y",
        targets=("y",),
    )
    version = dataset_pb2.DatasetVersion(
        name="datasets/d/versions/1", row_count=ROWS, schema=schema_to_proto(schema), shards=[shard]
    )
    specification = TuningSpecification(dataset_version=version.name, **more)
    return load_problem(specification, version, store, lambda: None)


def scan_of(store: MemoryStore, probability: Any) -> OutlierMarks:
    """Stores what a scan says of rows: those above one half are marked."""
    buffer = io.BytesIO()
    scores = {"marked": pa.array(probability > 0.5), "probability": pa.array(probability)}
    pq.write_table(pa.table(scores), buffer)
    stored = put_artifact(store, "scores.parquet", buffer.getvalue(), "application/octet-stream")
    return OutlierMarks(
        scan="outlierScans/s", scores=ArtifactReference.model_validate(to_plain(stored))
    )


def test_marks_stay_with_their_rows(columns: dict[str, Any]) -> None:
    """Protects the weights: rows for tests, and those without a target, are left out before."""
    columns["y"][3] = None
    parts = np.arange(ROWS) % 3
    probability = np.linspace(0, 1, ROWS, dtype=np.float32)
    found = loaded(columns, parts.astype(np.int8), probability)
    rows = [row for row in range(ROWS) if parts[row] < 2 and row != 3]
    assert found.problem.marks is not None
    assert found.problem.marks.probability.tolist() == probability[rows].tolist()
    assert found.problem.features["a"].tolist() == columns["a"][rows].tolist()
    assert found.test is not None and found.test.marks is None


def test_scores_of_other_rows_are_refused(columns: dict[str, Any]) -> None:
    """Protects from weights that belong to other rows."""
    with pytest.raises(DataLossError, match="has 29 rows"):
        loaded(columns, marks=np.zeros(ROWS - 1, np.float32))


def test_test_rows_are_kept_apart(columns: dict[str, Any]) -> None:
    """Training and validation rows are learned from; times are seconds since 1970."""
    found = loaded(columns)
    assert found.test is not None
    assert (found.problem.row_count, found.test.row_count) == (24, 6)
    assert found.problem.features["day"].tolist()[:2] == [86_400.0, 2 * 86_400.0]
    assert found.test.features["a"].tolist() == columns["a"][-6:].tolist()
    assert found.test.truth.tolist() == [0, 1] * 3


def test_test_rows_of_unknown_classes_are_left_out(columns: dict[str, Any]) -> None:
    """The model cannot name what it has never seen."""
    columns["y"][-1] = "red"
    found = loaded(columns)
    assert found.problem.outputs == ("blue", "green")
    assert found.test is not None and found.test.row_count == 5


def test_rows_without_the_target_are_left_out_and_counted(columns: dict[str, Any]) -> None:
    """Nothing can be learned from them, and whoever has some should know."""
    columns["y"][0] = columns["y"][-1] = None
    found = loaded(columns)
    assert found.test is not None
    assert (found.problem.row_count, found.test.row_count, found.dropped) == (23, 5, 2)


def test_another_target_makes_the_usual_one_a_feature(columns: dict[str, Any]) -> None:
    """And the problem is what that target says."""
    found = loaded(columns, targets=("a",))
    assert found.problem.kind is ProblemKind.REGRESSION
    assert list(found.problem.features) == ["b", "day", "y"]


def test_without_test_rows_there_is_no_test(columns: dict[str, Any]) -> None:
    """All rows are learned from."""
    found = loaded(columns, np.zeros(ROWS, np.int8))
    assert found.test is None and found.problem.row_count == ROWS


@pytest.mark.parametrize(
    ("changes", "more", "problem"),
    [
        ({"y": ["blue"] * ROWS}, {}, "has a single class"),
        ({"y": ["blue"] * 5 + [None] * 25}, {}, "has 5 training and validation rows"),
        ({"a": [1.0] * ROWS, "b": [2.0] * ROWS}, {"left_out": ("day",)}, "hold a single value"),
        ({}, {"left_out": ("a", "b", "day")}, "no column to learn from"),
        ({"b": -np.ones(ROWS)}, {"weight_column": "b"}, "column `b` of weights"),
        ({"b": np.ones(ROWS)}, {"group_column": "b"}, "all rows into one group"),
    ],
    ids=["class", "rows", "constant", "columns", "weights", "group"],
)
def test_what_nothing_can_be_learned_from_is_said(
    columns: dict[str, Any], changes: dict[str, Any], more: dict[str, Any], problem: str
) -> None:
    """A sentence with the cause instead of an error of some library."""
    with pytest.raises(FailedPreconditionError, match=f"Nothing can be learned.*{problem}"):
        loaded({**columns, **changes}, **more)


def test_features_are_in_the_same_order(columns: dict[str, Any]) -> None:
    """Models take them by name and place."""
    found = loaded(columns)
    assert found.test is not None
    pd.testing.assert_index_equal(found.test.features.columns, found.problem.features.columns)
