"""Grouped splits that go on: a group stays in its part, whatever is appended."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimass.catalog.v1 import dataset_pb2
from common.artifacts.memory import MemoryStore
from common.data.schema import Part
from common.data.split import GroupAssigner, SplitPlan
from services.catalog.domain.append import appended
from services.catalog.domain.append_spec import like_base
from services.catalog.domain.groups import RowsBefore, group_keys
from services.catalog.domain.spec import ImportSpec, SplitMethod, SplitSpec
from tests.unit.catalog.support import grouped_csv, import_bytes, version_of

PIECE = st.lists(st.integers(0, 60), min_size=1, max_size=60)
PLAN = SplitPlan(0.2, 0.1, 0)
SPLIT = SplitSpec(method=SplitMethod.GROUPED, column="g", test_fraction=0.2)


def append_pieces(pieces: list[list[str]], split: SplitSpec) -> dict[str, set[int]]:
    """Imports a table and appends the others one after the other; returns the parts by group."""
    store = MemoryStore()
    base = dataset_pb2.DatasetVersion()
    found: dict[str, set[int]] = {}
    for number, groups in enumerate(pieces):
        spec = ImportSpec(dataset="datasets/test", upload="uploads/u", split=split)
        types, before = {}, None
        if number:
            types = like_base(spec, base).column_types
            before = RowsBefore(base, store)
        made = import_bytes(
            grouped_csv(groups), split=split, column_types=types, store=store, before=before
        )
        for group, part in zip(groups, made.parts.tolist(), strict=True):
            found.setdefault(group, set()).add(part)
        piece = version_of(made.data)
        base = appended(base, piece) if number else piece
        base.split.method = dataset_pb2.SPLIT_METHOD_GROUPED
        base.split.column = "g"
    return found


@settings(max_examples=15)
@given(
    st.lists(PIECE, min_size=1, max_size=3), st.integers(0, 2**32 - 1), st.sampled_from(["g", ""])
)
def test_no_group_in_two_parts(pieces: list[list[int]], seed: int, kind: str) -> None:
    """Whatever is appended, and whether groups are texts or numbers, each has one part."""
    texts = [[f"{kind}{group}" for group in piece] for piece in [[0, 1, 2, *pieces[0]], *pieces]]
    found = append_pieces(texts, SPLIT.model_copy(update={"seed": seed}))
    assert all(len(parts) == 1 for parts in found.values())


def test_numbers_are_one_group_however_they_are_stored() -> None:
    """Whole numbers before, fractions after: 7 and 7.0 are one group."""
    whole = [str(row % 9) for row in range(90)]
    found = append_pieces([whole, [f"{group}.0" for group in range(9)] + ["0.5"]], SPLIT)
    assert all(found[str(group)] == found[f"{group}.0"] for group in range(9))
    narrow, wide = pa.array([1, 300, None], pa.int16()), pa.array([1.0, 300.0, None])
    np.testing.assert_array_equal(group_keys(narrow, 3), group_keys(wide, 3))


def test_a_new_group_depends_on_nothing_else() -> None:
    """New groups have the same part whether they come alone, together, or in another order."""
    first = [f"old {row % 20}" for row in range(100)]
    fresh = [f"new {row}" for row in range(12)]
    together = append_pieces([first, fresh], SPLIT)
    one_by_one = append_pieces([first, *([group] for group in reversed(fresh))], SPLIT)
    assert together == one_by_one


@pytest.mark.parametrize(
    ("plan", "shares"),
    [
        (PLAN, (0.7, 0.2, 0.1)),
        (SplitPlan(0.0, 0.3, 0), (0.7, 0.0, 0.3)),
        (SplitPlan(0, 0, 0), (1, 0, 0)),
    ],
)
def test_shares_of_new_groups(plan: SplitPlan, shares: tuple[float, ...]) -> None:
    """Of many new groups each part gets its share; a part that is not asked for gets none."""
    keys = group_keys(pa.array([f"g{number}" for number in range(20_000)]), 5)
    parts = GroupAssigner(np.array([], np.uint64), np.array([], np.uint8), plan).assign(keys)
    got = np.bincount(parts, minlength=len(Part)) / len(parts)
    np.testing.assert_allclose(got, shares, atol=0.012)
    assert [share == 0 for share in got] == [share == 0 for share in shares]


def test_largest_hash() -> None:
    """The largest hash is within the last part that is asked for."""
    largest = np.array([2**64 - 1], np.uint64)
    nothing = np.array([], np.uint64), np.array([], np.uint8)
    assert GroupAssigner(*nothing, SplitPlan(0.2, 0, 0)).assign(largest) == [Part.VALIDATION]
