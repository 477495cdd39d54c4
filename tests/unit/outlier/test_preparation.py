"""Raw columns as rows that detectors take."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.data.rows import RawRows, concatenated
from common.data.schema import Column, ColumnType
from services.outlier.domain.detector import UnfitError
from services.outlier.domain.preparation import (
    Preparation,
    PreparationOptions,
    Scaling,
    prepare,
)
from services.outlier.domain.preparation.columns import MISSING_TIME

MIXED = RawRows(
    {
        "size": np.array([1.0, 2.0, np.nan, 4.0, 3.0, 2.5]),
        "kind": np.array([0, 1, 1, -1, 1, 0], np.int32),
        "note": np.array(["a b", "a c", None, "", "Zq 9!", "a b"], object),
        "time": np.array([0, 1, 2, MISSING_TIME, 4, 5], np.int64),
        "vector": np.arange(12, dtype=np.float32).reshape(6, 2) % 5,
        "image": np.arange(6 * 12, dtype=np.uint8).reshape(6, 3, 2, 2),
        "same": np.full(6, 7.0),
    },
    {"kind": ("blue", "red")},
)
COLUMNS = [
    Column("size", ColumnType.NUMERIC),
    Column("kind", ColumnType.CATEGORICAL),
    Column("note", ColumnType.TEXT),
    Column("time", ColumnType.TIMESTAMP),
    Column("vector", ColumnType.EMBEDDING, shape=(2,)),
    Column("image", ColumnType.IMAGE, shape=(3, 2, 2)),
    Column("same", ColumnType.NUMERIC),
]


def numbers(values: npt.ArrayLike, scaling: Scaling = Scaling.STANDARD) -> Preparation:
    """Prepares one column of numbers."""
    raw = RawRows({"x": np.asarray(values, np.float64)})
    return prepare(raw, [Column("x", ColumnType.NUMERIC)], PreparationOptions(scaling=scaling))


def test_every_type() -> None:
    """Each type of column becomes finite features, of which the owner is known."""
    preparation = prepare(MIXED, COLUMNS)
    rows = preparation.apply(MIXED)
    assert preparation.dropped == ("same",)
    assert rows.values.shape == (6, len(preparation.owners))
    assert np.isfinite(rows.values).all()
    assert rows.codes.shape == (6, 3)  # numbers, labels and times
    assert rows.codes[2, 0] == 0 and rows.codes[3, 1] == 0 and rows.codes[3, 2] == 0
    assert set(preparation.owners.tolist()) == set(range(6))


def test_rows_do_not_depend_on_their_neighbours() -> None:
    """A row is prepared alike alone and among others: scores can be computed in chunks."""
    preparation = prepare(MIXED, COLUMNS)
    whole = preparation.apply(MIXED)
    for row in range(MIXED.count):
        alone = preparation.apply(MIXED.take(np.array([row])))
        assert (alone.values[0] == whole.values[row]).all()
        assert (alone.codes[0] == whole.codes[row]).all()


def test_vectors_are_prepared_alike_in_any_company() -> None:
    """Neighbours are told from the row itself by equality: no digit may depend on other rows."""
    vectors = np.random.default_rng(0).normal(size=(300, 7)).astype(np.float32)
    raw = RawRows({"v": vectors})
    preparation = prepare(raw, [Column("v", ColumnType.EMBEDDING, shape=(7,))])
    whole = preparation.apply(raw).values
    alone = [preparation.apply(raw.take(slice(row, row + 1))).values[0] for row in range(300)]
    assert (np.array(alone) == whole).all()


@pytest.mark.parametrize("shape", [(50, 6), (12, 40)])
def test_main_directions_keep_distances(shape: tuple[int, int]) -> None:
    """Where they hold everything, rows are as far apart as before, whichever product is solved."""
    vectors = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    raw = RawRows({"v": vectors})
    found = prepare(raw, [Column("v", ColumnType.EMBEDDING, shape=shape[1:])]).apply(raw).values
    before, after = (np.linalg.norm(each - each[0], axis=1) for each in (vectors, found))
    np.testing.assert_allclose(after[1:] / before[1:], after[1] / before[1], rtol=1e-6)
    assert found.shape[1] == min(shape[0] - 1, shape[1]) + 1
    np.testing.assert_allclose(found[:, -1], 0, atol=1e-6)


def test_an_infinity_in_a_vector_is_far_out() -> None:
    """A vector that is no usable number has finite features, far from all others."""
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors[7, 1] = np.inf
    raw = RawRows({"v": vectors})
    values = prepare(raw, [Column("v", ColumnType.EMBEDDING, shape=(3,))]).apply(raw).values
    assert np.isfinite(values).all()
    assert np.abs(values).max(axis=1).argmax() == 7


def test_numbers_of_32_bits_are_known_again() -> None:
    """A caller's 0.1 is a double; the data's is not, and neither is the bin's edge made of it."""
    stored = np.tile(np.array([0.1, 0.2, 0.3, 0.7], np.float32), 10)
    raw = RawRows({"x": stored})
    preparation = prepare(raw, [Column("x", ColumnType.NUMERIC)])
    sent = RawRows({"x": np.array([0.1, 0.2, 0.3, 0.7, 1e300])})
    known, found = preparation.apply(raw), preparation.apply(sent)
    assert (known.values[:4] == found.values[:4]).all()
    assert (known.codes[:4] == found.codes[:4]).all()
    assert np.isfinite(found.values).all()


def test_standard_scaling() -> None:
    """STANDARD has zero mean and unit variance."""
    values = np.random.default_rng(0).normal(5, 3, 1000)
    found = numbers(values).apply(RawRows({"x": values})).values[:, 0]
    assert abs(found.mean()) < 1e-9 and abs(found.std() - 1) < 1e-9


def test_heavy_tails_are_robust() -> None:
    """AUTO does not let a few huge values squash all others; light tails stay as they are."""
    generator = np.random.default_rng(0)
    heavy = generator.standard_cauchy(1000)
    found = numbers(heavy, Scaling.AUTO).apply(RawRows({"x": heavy})).values[:, 0]
    low, high = np.quantile(found, [0.25, 0.75])
    assert 0.8 < high - low < 2
    assert np.abs(found).max() < 20
    light = RawRows({"x": generator.normal(size=1000)})
    auto, standard = (
        numbers(light.columns["x"], scaling).apply(light).values
        for scaling in (Scaling.AUTO, Scaling.STANDARD)
    )
    np.testing.assert_array_equal(auto, standard)


def test_labels_never_seen_are_rare() -> None:
    """A label that was not there in fitting is rarer than each that was, wherever its code lies."""
    columns = [Column("kind", ColumnType.CATEGORICAL)]
    fitted = RawRows({"kind": np.array([0] * 90 + [1] * 9 + [2])}, {"kind": ("a", "b", "c")})
    preparation = prepare(fitted, columns)
    later = RawRows({"kind": np.array([0, 1, 2, 3])}, {"kind": ("new", "c", "b", "a")})
    found = preparation.apply(later)
    assert np.argsort(-found.values[:, 0]).tolist() == [0, 1, 2, 3]
    assert found.codes[:, 0].tolist() == [0, 3, 2, 1]


def test_nothing_to_tell_apart() -> None:
    """Data whose rows are all alike is refused in words."""
    with pytest.raises(UnfitError, match="same value"):
        numbers([3.0, 3.0, 3.0])
    with pytest.raises(UnfitError, match="same value"):
        numbers([np.nan, np.nan])


def test_a_million_labels() -> None:
    """Labels that are as many as rows do not make as many features."""
    codes = np.arange(100_000)
    raw = RawRows({"id": np.append(codes, 0)}, {"id": [str(code) for code in codes]})
    preparation = prepare(raw, [Column("id", ColumnType.CATEGORICAL)])
    assert preparation.apply(raw).values.shape[1] == 1


@given(
    arrays.arrays(
        np.float64,
        st.integers(2, 30),
        elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
    ),
    st.sampled_from(list(Scaling)),
)
def test_any_numbers(values: npt.NDArray[np.float64], scaling: Scaling) -> None:
    """Whatever the numbers, features are finite or the data is refused."""
    try:
        preparation = numbers(values, scaling)
    except UnfitError:
        return
    rows = preparation.apply(RawRows({"x": values}))
    assert np.isfinite(rows.values).all()
    assert (rows.codes >= 0).all() and (rows.codes <= 8).all()


def test_pieces_together() -> None:
    """Pieces of rows put together are the rows."""
    whole = concatenated([MIXED.take(slice(0, 2)), MIXED.take(slice(2, 6))])
    assert whole.count == 6
    assert whole.columns["note"].tolist() == MIXED.columns["note"].tolist()
