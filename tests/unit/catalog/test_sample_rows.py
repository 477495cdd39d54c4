"""Rows of a data set on which models from elsewhere are tried: how many are taken."""

import pytest

from common.artifacts.memory import MemoryStore
from common.data import shards
from common.data.schema import ColumnType
from services.catalog.domain import sample_rows
from services.catalog.domain.sample_rows import read_sample_rows
from services.catalog.domain.spec import SplitSpec
from tests.unit.catalog.support import import_bytes, version_of


@pytest.mark.parametrize(("room", "rows"), [(1, 1), (5_500, 5), (25_500, 25), (1_000_000, 60)])
def test_all_rows_together_are_bounded(
    room: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long texts count by their length, over all shards; there is one row at least."""
    monkeypatch.setattr(shards, "MAX_SHARD_ROWS", 10)
    monkeypatch.setattr(sample_rows, "_MAX_BYTES", room)
    content = "t\n" + "".join(f"{row:01000}\n" for row in range(60))
    store = MemoryStore()
    got = import_bytes(
        content.encode(),
        column_types={"t": ColumnType.TEXT},
        split=SplitSpec(validation_fraction=0),
        store=store,
    )
    found = read_sample_rows(version_of(got.data), store)
    assert found.columns["t"].tolist() == [f"{row:01000}" for row in range(rows)]


def test_times_are_there_for_models_that_ask_for_them() -> None:
    """Not among the columns that any model of a table takes."""
    store = MemoryStore()
    content = "day,size\n" + "".join(f"2024-01-{day:02},{day % 7}.5\n" for day in range(1, 32))
    got = import_bytes(content.encode(), split=SplitSpec(validation_fraction=0), store=store)
    found = read_sample_rows(version_of(got.data), store)
    assert list(found.columns) == ["size"]
    assert found.by_name["day"][:2].tolist() == [1_704_067_200.0, 1_704_153_600.0]
