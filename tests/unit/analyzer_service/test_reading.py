"""Rows come from the part of the split that is asked for, with what is true of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.artifacts.memory import MemoryStore
from common.data.messages import schema_from_proto
from common.data.schema import Column, ColumnType, Schema, Task
from services.analyzer.domain.specification import EvaluatedRows
from services.analyzer.opening import OpenedModel, open_model
from services.analyzer.reading import MOST_BYTES, read_rows, row_limit, sample_for
from tests.unit.analyzer_service.models import flowers, package, stored, thirds


@given(st.integers(1, 200), st.integers(1, 250), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
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
