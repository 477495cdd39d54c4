"""Splits by groups and by time, through an import."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.memory import MemoryStore
from common.data.schema import Part
from common.errors import InvalidFieldError
from services.catalog.domain.groups import RowsBefore
from services.catalog.domain.spec import SplitMethod, SplitSpec
from tests.unit.catalog.support import Imported, field_of, import_bytes

COLUMN = "dataset_import.spec.split.column"


def import_by(values: list[str], method: SplitMethod, **split: object) -> Imported:
    """Imports a table whose column `by` decides on the split."""
    spec = SplitSpec.model_validate({"method": method, "column": "by", **split})
    lines = "".join(f"{value},{row}\n" for row, value in enumerate(values))
    return import_bytes(f"by,x\n{lines}".encode(), split=spec)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 30), min_size=60, max_size=150), st.integers(0, 2**32 - 1))
def test_groups_stay_whole(groups: list[int], seed: int) -> None:
    """Every row of a group is in one part; every part is there; the same seed splits alike."""
    values = [f"group {group}" for group in [0, 1, 2, *groups]]
    got = import_by(values, SplitMethod.GROUPED, seed=seed, test_fraction=0.2)
    parts = defaultdict(set)
    for value, part in zip(values, got.parts.tolist(), strict=True):
        parts[value].add(part)
    assert all(len(found) == 1 for found in parts.values())
    assert {*got.parts.tolist()} == {0, 1, 2}
    largest = max(values.count(value) for value in parts)
    assert abs(got.rows(Part.VALIDATION) - 0.2 * len(values)) <= 2 * largest
    again = import_by(values, SplitMethod.GROUPED, seed=seed, test_fraction=0.2)
    assert np.array_equal(got.parts, again.parts)


def test_seed_moves_groups() -> None:
    """Another seed puts other groups aside."""
    values = [f"g{row % 40}" for row in range(200)]
    first = import_by(values, SplitMethod.GROUPED, seed=1)
    second = import_by(values, SplitMethod.GROUPED, seed=2)
    assert not np.array_equal(first.parts, second.parts)


def test_groups_may_be_missing() -> None:
    """Rows without a group are a group of their own."""
    got = import_by(["a", "", "b", "", "c", ""] * 3, SplitMethod.GROUPED)
    assert len({*got.parts[1::2].tolist()}) == 1


def test_oldest_rows_train() -> None:
    """Rows are split by time whatever their order; the newest test; ties stay together."""
    days = [f"2024-01-{day:02d}" for day in (9, 3, 3, 7, 1, 5, 10, 2, 8, 4)]
    got = import_by(days, SplitMethod.TEMPORAL, validation_fraction=0.2, test_fraction=0.2)
    by_day = sorted(zip(days, got.parts.tolist(), strict=True))
    assert [part for _, part in by_day] == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2]


def test_only_timestamp_column_is_the_time() -> None:
    """The column need not be named where there is one of times, and is written down."""
    lines = "".join(f"2024-01-{day:02d},{day}\n" for day in range(1, 11))
    got = import_bytes(f"when,x\n{lines}".encode(), split=SplitSpec(method=SplitMethod.TEMPORAL))
    assert got.data.split.column == "when"
    assert got.parts.tolist() == [0] * 8 + [1] * 2


def test_years_are_times() -> None:
    """Numbers order rows as well."""
    got = import_by(["2003", "2001", "2002", "2000", "2004"], SplitMethod.TEMPORAL)
    assert got.parts.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("values", "method", "split", "words"),
    [
        (["a"] * 5, SplitMethod.GROUPED, {}, "1 groups, too few"),
        (["a", "b"] * 5, SplitMethod.TEMPORAL, {}, "needs times or numbers"),
        (["2020-01-01", ""] * 5, SplitMethod.TEMPORAL, {}, "no value in 5 rows"),
        (["1", "2"] * 5, SplitMethod.GROUPED, {"column": "z"}, "no column `z`"),
        (["1", "2"] * 5, SplitMethod.TEMPORAL, {"column": ""}, "of which there are 0"),
    ],
)
def test_what_cannot_be_split(
    values: list[str], method: SplitMethod, split: dict[str, object], words: str
) -> None:
    """Data that does not allow the split is refused with the field and the cure."""
    with pytest.raises(InvalidFieldError, match=words) as caught:
        import_by(values, method, **split)
    assert field_of(caught.value) == COLUMN


def test_column_belongs_to_its_methods() -> None:
    """A grouped split needs a column, and other methods must not have one."""
    with pytest.raises(ValidationError, match="needs the column"):
        SplitSpec(method=SplitMethod.GROUPED)
    with pytest.raises(ValidationError, match="leave it out"):
        SplitSpec(method=SplitMethod.RANDOM, column="x")


def test_one_new_time_trains() -> None:
    """Too few points in time to share out are refused, unless they go on from rows before."""
    spec = SplitSpec(method=SplitMethod.TEMPORAL, column="by")
    content = b"by,x\n2024-01-09,1\n2024-01-09,2\n"
    with pytest.raises(InvalidFieldError, match="1 points in time, too few"):
        import_bytes(content, split=spec)
    before = RowsBefore(dataset_pb2.DatasetVersion(), MemoryStore())
    got = import_bytes(content, split=spec, before=before)
    assert got.rows(Part.TRAIN) == 2
