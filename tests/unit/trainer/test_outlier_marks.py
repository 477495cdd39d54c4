"""Which rows train with which weight, and how they are dealt into folds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data.marks import WEIGHT_FLOOR
from services.trainer.domain.outliers.marks import (
    NO_FOLD,
    Marks,
    deal_folds,
    deal_groups,
)

PARTS = np.array([0, 0, 0, 0, 1, 2], np.uint8)
MARKS = Marks(
    marked=np.array([True, False, False, False, True, True]),
    probability=np.array([0.99, 0.25, 0, 0.5, 0.9, 0.9], np.float32),
    fold=np.array([0, 1, 0, 1, NO_FOLD, NO_FOLD], np.int8),
)


def test_keep_changes_nothing() -> None:
    """Protects the measure that the other uses are held against."""
    choice = MARKS.choose(PARTS, "keep")
    assert choice.training.tolist() == [0, 1, 2, 3]
    assert choice.factors is None


def test_dropped_rows_are_no_training_rows() -> None:
    """Protects batches and steps: a dropped row is not there, rather than there without weight."""
    choice = MARKS.choose(PARTS, "drop")
    assert choice.training.tolist() == [1, 2, 3]
    assert choice.factors is None


def test_down_weight_is_the_probability_of_a_usual_row_with_a_floor() -> None:
    """Protects the weights as they are documented; rows that do not train weigh 1."""
    choice = MARKS.choose(PARTS, "down_weight")
    assert choice.training.tolist() == [0, 1, 2, 3]
    assert choice.factors is not None
    np.testing.assert_allclose(choice.factors, [WEIGHT_FLOOR, 0.75, 1, 0.5, 1, 1])


@pytest.mark.parametrize("use", ["keep", "drop", "down_weight"])
def test_held_out_rows_are_all_of_the_fold_and_weigh_1(use: str) -> None:
    """Protects the comparison: whatever the use, models are scored on the same rows, marked too."""
    choice = MARKS.choose(PARTS, use, fold=0)  # type: ignore[arg-type]
    assert choice.held_out.tolist() == [0, 2]
    assert choice.training.tolist() == [1, 3]
    assert choice.factors is None or choice.factors[[0, 2]].tolist() == [1, 1]


def test_marks_are_stored_and_read() -> None:
    """Protects the file between coordinator and workers."""
    found = Marks.from_bytes(MARKS.to_bytes())
    for name in ("marked", "probability", "fold"):
        expected = getattr(MARKS, name)
        assert getattr(found, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(found, name), expected)


@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=200),
    folds=st.integers(3, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_folds_share_all_strata_evenly(rows: list[tuple[bool, int]], folds: int, seed: int) -> None:
    """Protects the folds: every training row in one, equal sizes, equal shares, a pure function."""
    training = np.array([trains for trains, _ in rows])
    strata = np.array([stratum for _, stratum in rows])
    dealt = deal_folds(training, strata, folds, seed)
    np.testing.assert_array_equal(dealt, deal_folds(training, strata, folds, seed))
    np.testing.assert_array_equal(dealt == NO_FOLD, ~training)
    for chosen in (training, *(training & (strata == each) for each in range(4))):
        sizes = np.bincount(dealt[chosen], minlength=folds)
        assert len(sizes) == folds and sizes.max() - sizes.min() <= 1


def test_folds_depend_on_their_seed() -> None:
    """Protects the seed."""
    training, strata = np.ones(100, np.bool_), np.zeros(100, np.int64)
    one, other = (deal_folds(training, strata, 5, seed) for seed in (0, 1))
    assert (one != other).any()


@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(-1, 30)), min_size=1, max_size=200),
    folds=st.integers(3, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_group_is_held_out_as_a_whole(
    rows: list[tuple[bool, int]], folds: int, seed: int
) -> None:
    """Protects the comparison from rows that a model has seen the like of: whole groups, once."""
    training = np.array([trains for trains, _ in rows])
    groups = np.array([group for _, group in rows])
    dealt = deal_groups(training, groups, folds, seed)
    np.testing.assert_array_equal(dealt, deal_groups(training, groups, folds, seed))
    np.testing.assert_array_equal(dealt == NO_FOLD, ~training)
    found, counts = np.unique(groups[training], return_counts=True)
    assert all(len(set(dealt[training & (groups == each)].tolist())) == 1 for each in found)
    sizes = np.bincount(dealt[training], minlength=folds)
    assert (sizes > 0).sum() == min(folds, len(found))
    assert sizes.max() - sizes.min() <= counts.max(initial=0)
