"""Rows come from the part of the split that is asked for, with what is true of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.artifacts.memory import MemoryStore
from common.data.messages import schema_from_proto
from common.data.rows import RawRows
from common.data.schema import Column, ColumnType, Schema, Task
from services.analyzer.domain.sample import MOST_BYTES, row_limit
from services.analyzer.domain.specification import EvaluatedRows
from services.analyzer.opening import OpenedModel, open_model
from services.analyzer.reading import Rows, read_rows, sample_for
from tests.unit.analyzer_service.models import flowers, package, stored, thirds


@given(st.integers(1, 200), st.integers(1, 250), st.integers(0, 1000))
@settings(max_examples=20)
def test_rows_are_those_of_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, rows: int, most: int, seed: int
) -> None:
    """Whatever is drawn: of the right part, at most as many, each with its own values."""
    store, folder = MemoryStore(), tmp_path_factory.mktemp("data")
    data = flowers(rows)
    version = stored(store, folder, data)
    schema = schema_from_proto(version.schema)
    wanted = dict.fromkeys(EvaluatedRows, most)
    found = read_rows(version, schema, store, wanted, seed, lambda: None)
    parts = thirds(rows)
    for name, code in (("train", 0), ("validation", 1), ("test", 2)):
        own = found.get(EvaluatedRows(name))
        count = int((parts == code).sum())
        if own is None:
            assert count == 0
            continue
        assert len(own.numbers) == min(count, most)
        assert (np.diff(own.numbers) > 0).all()
        assert (parts[own.numbers] == code).all()
        np.testing.assert_array_equal(own.raw.columns["width"], data["width"][own.numbers])
    assert len(found[EvaluatedRows.ALL].numbers) == min(rows, most)


def test_the_same_seed_draws_the_same_rows(tmp_path: Path) -> None:
    store = MemoryStore()
    version = stored(store, tmp_path)
    schema = schema_from_proto(version.schema)
    wanted = {EvaluatedRows.ALL: 20}
    drawn = [
        read_rows(version, schema, store, wanted, seed, lambda: None)[EvaluatedRows.ALL].numbers
        for seed in (1, 1, 2)
    ]
    assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()


def opened(store: MemoryStore, folder: Path, schema: Schema) -> OpenedModel:
    return open_model(store, package(store), schema, folder / "weights", lambda: None)


def test_truth_is_the_position_among_the_models_classes(tmp_path: Path) -> None:
    """A label that the model does not know is told apart from one that is missing."""
    store = MemoryStore()
    data = flowers(8)
    labels = ["big", "small", "huge", None, *data["size"][4:].tolist()]
    data["size"] = np.array(labels, dtype=object)
    version = stored(store, tmp_path, data, np.zeros(8, np.uint8))
    schema = schema_from_proto(version.schema)
    rows = read_rows(version, schema, store, {EvaluatedRows.ALL: 100}, 0, lambda: None)
    sample = sample_for(rows[EvaluatedRows.ALL], opened(store, tmp_path, schema), schema)
    assert sample.truth is not None
    assert sample.truth[:3].tolist() == [0, 1, -1]
    assert 3 not in sample.numbers.tolist()
    assert "size" not in sample.raw.columns


def test_large_rows_are_fewer() -> None:
    """A limit of bytes keeps pictures from filling the memory."""
    image = Column("picture", ColumnType.IMAGE, shape=(3, 1000, 1000))
    assert row_limit(Schema((image,), Task.UNSUPERVISED), 5_000) == MOST_BYTES // 3_000_000
    assert row_limit(Schema((Column("x", ColumnType.NUMERIC),)), 5_000) == 5_000


def test_rows_of_which_none_has_a_truth_stay(tmp_path: Path) -> None:
    """Test rows whose labels nobody knows are looked at as data without a target."""
    version = stored(MemoryStore(), tmp_path, flowers(20), np.zeros(20, np.uint8))
    schema = schema_from_proto(version.schema)
    raw = RawRows(
        {**{name: np.zeros(5) for name in ("length", "width", "height")}, "size": np.full(5, -1)},
        {"size": ("big", "small")},
    )
    model = opened(MemoryStore(), tmp_path, schema)
    sample = sample_for(Rows(raw, np.arange(5)), model, schema)
    assert (sample.truth, sample.count) == (None, 5)


def test_classes_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    """`01` and `1` are the same where sources write differently, but not where both are there."""
    version = stored(MemoryStore(), tmp_path, flowers(20), np.zeros(20, np.uint8))
    schema = schema_from_proto(version.schema)
    columns = tuple(
        replace(each, categories=("01", "1", "2.0")) if each.name == "size" else each
        for each in schema.columns
    )
    codes = {name: np.zeros(3) for name in ("length", "width", "height")}
    raw = RawRows({**codes, "size": np.arange(3)}, {"size": ("01", "1", "2.0")})
    model = opened(MemoryStore(), tmp_path, schema)
    model.model.preprocessing = SimpleNamespace(  # type: ignore[attr-defined]
        target=SimpleNamespace(task="classification", classes=("01", "1", "2"), name="size"),
        features=("length", "width", "height"),
    )
    sample = sample_for(Rows(raw, np.arange(3)), model, replace(schema, columns=columns))
    assert np.asarray(sample.truth).tolist() == [0, 1, 2]


def test_a_target_of_the_data_is_there_for_a_model_that_takes_it(tmp_path: Path) -> None:
    """A model may have been trained for another column, and take this one."""
    version = stored(MemoryStore(), tmp_path, flowers(20), np.zeros(20, np.uint8))
    schema = replace(schema_from_proto(version.schema), target="width", targets=("width",))
    raw = RawRows(
        {**{name: np.zeros(5) for name in ("length", "width", "height")}, "size": np.zeros(5, int)},
        {"size": ("big", "small")},
    )
    model = opened(MemoryStore(), tmp_path, schema)
    sample = sample_for(Rows(raw, np.arange(5)), model, schema)
    assert {"length", "width", "height"} <= sample.raw.columns.keys()
    assert "width" in sample.columns
