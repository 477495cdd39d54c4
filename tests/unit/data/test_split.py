"""The split: exact shares, every row once, deterministic, streaming."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.schema import Part
from common.data.split import (
    BlockAssigner,
    KeyTally,
    SplitAssigner,
    SplitPlan,
    count_parts,
    split_blocks,
    split_class_counts,
)

FRACTIONS = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)).filter(lambda pair: sum(pair) < 1)
COUNTS = st.lists(st.integers(0, 200), min_size=1, max_size=12)


@given(COUNTS, FRACTIONS)
def test_shares(counts: list[int], fractions: tuple[float, float]) -> None:
    """Every row is in one part; classes are off by less than a row; each keeps one to train on."""
    validation, test = fractions
    shares = split_class_counts(counts, validation, test)
    assert [share.total for share in shares] == counts
    for rows, share in zip(counts, shares, strict=True):
        assert min(share.train, share.validation, share.test) >= 0
        assert share.train >= min(rows, 1)
        assert share.validation <= rows * validation + 1
        assert share.test <= rows * test + 1
        if share.train > 1:
            assert abs(share.validation - rows * validation) <= 1
            assert abs(share.test - rows * test) <= 1


@given(COUNTS, FRACTIONS)
def test_totals(counts: list[int], fractions: tuple[float, float]) -> None:
    """Over large classes the parts have the sizes that were asked for, to a row."""
    counts = [rows + 100 for rows in counts]
    fractions = (fractions[0] / 2, fractions[1] / 2)
    shares = split_class_counts(counts, *fractions)
    assert sum(share.validation for share in shares) == int(sum(counts) * fractions[0] + 0.5)
    assert sum(share.test for share in shares) == int(sum(counts) * fractions[1] + 0.5)


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=300),
    FRACTIONS,
    st.integers(0, 2**32 - 1),
    st.integers(1, 50),
)
def test_assignment(
    classes: list[int], fractions: tuple[float, float], seed: int, step: int
) -> None:
    """Each class gets exactly its shares, however the rows are cut into batches."""
    codes = np.array(classes, np.int32)
    counts = np.bincount(codes, minlength=5).tolist()
    plan = SplitPlan(*fractions, seed)
    whole = SplitAssigner(plan, counts).assign(codes)
    pieces = SplitAssigner(plan, counts)
    again = [pieces.assign(codes[start : start + step]) for start in range(0, len(codes), step)]
    assert np.array_equal(np.concatenate(again), whole)
    for code, share in enumerate(split_class_counts(counts, *fractions)):
        assert count_parts(whole[codes == code]) == share


def test_seed_changes_the_choice_only() -> None:
    """Another seed gives other rows and the same counts; one seed gives the same rows."""
    codes = np.zeros(1000, np.int32)

    def split(seed: int) -> bytes:
        return SplitAssigner(SplitPlan(0.2, 0.1, seed), [1000]).assign(codes).tobytes()

    assert split(1) == split(1)
    assert split(1) != split(2)
    assert sorted(split(1)) == sorted(split(2))


def test_choice_is_uniform() -> None:
    """Rows at the beginning are as likely to validate as rows at the end."""
    codes = np.zeros(100, np.int32)
    hits = np.zeros(100)
    for seed in range(400):
        hits += SplitAssigner(SplitPlan(0.25, 0, seed), [100]).assign(codes) == Part.VALIDATION
    assert abs(hits[:50].mean() - hits[50:].mean()) < 5
    assert hits.min() > 60
    assert hits.max() < 140


def test_more_rows_than_announced() -> None:
    """A class that grew between two passes is an error, not a wrong split."""
    assigner = SplitAssigner(SplitPlan(0.5, 0, 0), [2])
    with pytest.raises(ValueError, match="more than the 2 rows"):
        assigner.assign(np.zeros(3, np.int32))


@given(st.lists(st.integers(1, 50), min_size=3, max_size=60), FRACTIONS)
def test_blocks(sizes: list[int], fractions: tuple[float, float]) -> None:
    """Parts follow each other, none that was asked for is empty, sizes are off by two blocks."""
    plan = SplitPlan(*fractions, 0)
    blocks = np.array(sizes, np.int64)
    parts = split_blocks(blocks, plan)
    assert np.array_equal(parts, np.sort(parts))
    wanted = {Part.VALIDATION: fractions[0], Part.TEST: fractions[1]}
    assert {*parts.tolist()} == {Part.TRAIN, *(part for part, share in wanted.items() if share)}
    for part, share in {Part.TRAIN: 1 - sum(fractions), **wanted}.items():
        assert abs(blocks[parts == part].sum() - share * blocks.sum()) <= 2 * blocks.max()


def test_too_few_blocks() -> None:
    """Two blocks cannot make three parts that are all there."""
    with pytest.raises(ValueError, match="3 parts"):
        split_blocks(np.array([5, 5], np.int64), SplitPlan(0.2, 0.2, 0))


@given(st.lists(st.integers(-(2**60), 2**60), min_size=1, max_size=200), st.integers(1, 40))
def test_tally(keys: list[int], step: int) -> None:
    """Keys are counted exactly, however they are cut, and however often counts are merged."""
    tally = KeyTally()
    for start in range(0, len(keys), step):
        tally.add(np.array(keys[start : start + step], np.int64))
        if start % 3 == 0:
            tally.counts()
    distinct, sizes = tally.counts()
    expected = np.unique(np.array(keys, np.int64), return_counts=True)
    assert np.array_equal(distinct, expected[0])
    assert np.array_equal(sizes, expected[1])


def test_block_assignment() -> None:
    """Every row has the part of its key; a key that was not announced is an error."""
    assigner = BlockAssigner(np.array([1, 5, 9]), np.array([0, 1, 2], np.uint8))
    assert assigner.assign(np.array([9, 1, 5, 1])).tolist() == [2, 0, 1, 0]
    with pytest.raises(ValueError, match="not there"):
        assigner.assign(np.array([1, 10]))
