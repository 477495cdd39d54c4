"""Folds: like the whole, without leaks, with every class in every training part."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from common.data.schema import Column, ColumnType
from services.tuner.domain.folds import fold_count, fold_splits, thinned
from services.tuner.domain.problem import Problem, ProblemKind
from services.tuner.domain.trials.trial import Split

SEED = 3


def made(
    truth: npt.NDArray[np.generic],
    kind: ProblemKind = ProblemKind.MULTICLASS,
    features: pd.DataFrame | None = None,
    groups: npt.NDArray[np.int64] | None = None,
) -> Problem:
    rows = len(truth)
    if features is None:
        features = pd.DataFrame({"a": np.random.default_rng(0).random(rows)})
    columns = tuple(Column(name, ColumnType.NUMERIC) for name in features)
    count = int(truth.max()) + 1 if kind.has_classes else truth.reshape(rows, -1).shape[1]
    return Problem(kind, columns, features, truth, tuple(map(str, range(count))), groups=groups)


def assert_sound(splits: Sequence[Split], rows: int, never_judged: int = 0) -> None:
    """Each row is on one side of each split, and judged once but for a few."""
    for split in splits:
        both = np.concatenate([split.train, split.judged])
        np.testing.assert_array_equal(np.sort(both), np.arange(rows))
        assert (np.diff(split.train) > 0).all() and (np.diff(split.judged) > 0).all()
    judged = np.concatenate([split.judged for split in splits])
    assert len(judged) == len(np.unique(judged)) == rows - never_judged


@pytest.mark.parametrize("rows", [50, 1000])
@pytest.mark.parametrize("count", [2, 5, 8])
def test_classes_are_spread_evenly(rows: int, count: int) -> None:
    """Folds differ by one row at most, in all and of each class."""
    truth = np.random.default_rng(1).choice(3, rows, p=[0.7, 0.2, 0.1])
    splits = fold_splits(made(truth), count, SEED)
    assert len(splits) == count
    assert_sound(splits, rows)
    assert np.ptp([len(split.judged) for split in splits]) <= 1
    for label in range(3):
        assert np.ptp([(truth[split.judged] == label).sum() for split in splits]) <= 1


def test_rare_classes_are_in_every_training_part() -> None:
    """A class of two rows is learned in each fold; that of one row is never judged."""
    truth = np.array([0] * 60 + [1] * 30 + [2] * 2 + [3])
    splits = fold_splits(made(truth), 8, SEED)
    assert_sound(splits, len(truth), never_judged=1)
    for split in splits:
        assert set(truth[split.train]) == {0, 1, 2, 3}


def test_one_of_a_thousand() -> None:
    """Where one class is rare, each fold has its part of it."""
    truth = np.zeros(8000, np.int64)
    truth[::1000] = 1
    splits = fold_splits(made(truth, ProblemKind.BINARY), 8, SEED)
    assert [int(truth[split.judged].sum()) for split in splits] == [1] * 8


def test_values_of_a_regression_are_spread() -> None:
    """Folds have nearly the same mean, however skewed the target."""
    truth = np.random.default_rng(2).lognormal(0, 1, 2000)
    splits = fold_splits(made(truth, ProblemKind.REGRESSION), 5, SEED)
    assert_sound(splits, 2000)
    medians = [np.median(truth[split.judged]) for split in splits]
    assert np.ptp(medians) < 0.05 * np.median(truth)


def test_labels_are_spread() -> None:
    """Rare labels are in every fold in like numbers, also beside frequent ones."""
    generator = np.random.default_rng(3)
    truth = (generator.random((1000, 6)) < [0.5, 0.4, 0.3, 0.05, 0.02, 0.02]).astype(np.int8)
    truth[:, 5] = 0
    truth[[3, 500], 5] = 1
    splits = fold_splits(made(truth, ProblemKind.MULTI_LABEL), 5, SEED)
    assert_sound(splits, 1000)
    counts = np.array([truth[split.judged].sum(axis=0) for split in splits])
    assert np.ptp(counts[:, 4]) <= 2
    assert (np.ptp(counts, axis=0) < 0.3 * counts.mean(axis=0) + 3).all()
    assert all(truth[split.train][:, 5].any() for split in splits)


def test_equal_rows_stay_together() -> None:
    """A row that is there twice is not learned from where its copy is judged."""
    generator = np.random.default_rng(4)
    values = pd.DataFrame({"a": generator.random(300), "b": generator.choice(["x", "y"], 300)})
    copies = np.concatenate([np.arange(300), generator.choice(300, 100)])
    problem = made(
        generator.integers(0, 2, 400), ProblemKind.BINARY, values.iloc[copies].reset_index()
    )
    problem = problem.with_columns(["a", "b"])
    for split in fold_splits(problem, 5, SEED):
        assert not set(copies[split.train]) & set(copies[split.judged])
        assert 60 <= len(split.judged) <= 100


def test_equal_rows_of_few_values_are_no_leak() -> None:
    """Two columns of three values cannot but repeat: folds are those of any other table."""
    generator = np.random.default_rng(5)
    features = pd.DataFrame(generator.integers(0, 3, (500, 2)).astype(float), columns=["a", "b"])
    problem = made(generator.integers(0, 2, 500), ProblemKind.BINARY, features)
    splits = fold_splits(problem, 5, SEED)
    assert_sound(splits, 500)
    assert np.ptp([len(split.judged) for split in splits]) <= 1


@pytest.mark.parametrize("has_copies", [False, True])
def test_groups_stay_together(has_copies: bool) -> None:
    """Also where a row of one group equals one of another: then both groups do."""
    generator = np.random.default_rng(6)
    groups = generator.integers(0, 60, 600) * 17
    features = pd.DataFrame({"a": generator.random(600)})
    if has_copies:
        features.loc[:19, "a"] = features.loc[580:, "a"].to_numpy()
    truth = generator.choice(2, 600, p=[0.8, 0.2])
    splits = fold_splits(made(truth, ProblemKind.BINARY, features, groups), 5, SEED)
    assert_sound(splits, 600)
    for split in splits:
        assert not set(groups[split.train]) & set(groups[split.judged])
        assert not set(features["a"][split.train]) & set(features["a"][split.judged])
        assert 90 <= len(split.judged) <= 150
        assert truth[split.judged].mean() == pytest.approx(truth.mean(), abs=0.06)


def test_fewer_groups_than_folds() -> None:
    """There are as many splits as groups; one group alone cannot be split."""
    truth = np.tile([0, 1], 30)
    three = np.repeat([4, 5, 6], 20)
    assert len(fold_splits(made(truth, groups=three), 8, SEED)) == 3
    with pytest.raises(ValueError, match="too few rows or groups"):
        fold_splits(made(truth, groups=np.zeros(60, np.int64)), 8, SEED)


def test_classes_that_are_groups() -> None:
    """Where each class is a group of its own, groups are judged nevertheless."""
    truth = np.repeat(np.arange(4), 25)
    splits = fold_splits(made(truth, groups=truth.copy()), 4, SEED)
    assert_sound(splits, 100)


@pytest.mark.parametrize("kind", [ProblemKind.BINARY, ProblemKind.REGRESSION])
def test_holdout(kind: ProblemKind) -> None:
    """One split judges a sixth of the rows."""
    truth = np.random.default_rng(7).integers(0, 2, 3000)
    (split,) = fold_splits(made(truth, kind), 1, SEED)
    assert len(split.judged) == 500
    assert truth[split.judged].mean() == pytest.approx(truth.mean(), abs=0.01)


def test_seeds_repeat_and_vary() -> None:
    """The same seed gives the same folds, another one others."""
    problem = made(np.random.default_rng(8).integers(0, 2, 200))
    first, again, other = (fold_splits(problem, 5, seed)[0].judged for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_smaller_share_is_part_of_a_larger() -> None:
    """So that rungs of a race differ in size only; each class is in all of them."""
    truth = np.array([0] * 900 + [1] * 100 + [2])
    problem = made(truth)
    rows = np.setdiff1d(np.arange(1001), np.arange(0, 900, 3))
    small, large = (thinned(problem, rows, share, SEED) for share in (0.1, 0.5))
    assert set(small) < set(large) < set(rows)
    assert len(large) == pytest.approx(0.5 * len(rows), abs=3)
    assert (truth[small] == 1).sum() == 10 and (truth[small] == 2).sum() == 1
    assert (np.diff(small) > 0).all()
    assert thinned(problem, rows, 1.0, SEED) is rows


@pytest.mark.parametrize(
    ("rows", "seconds", "count"),
    [
        (500, 60, 8),
        (5_000, 60, 8),
        (20_000, 60, 5),
        (100_000, 60, 3),
        (2_000_000, 300, 1),
        (20_000, 10, 3),
        (20_000, 600, 5),
        (9, 60, 4),
    ],
)
def test_usual_number_of_folds(rows: int, seconds: float, count: int) -> None:
    """Small tables get eight folds, millions of rows a holdout."""
    truth = np.zeros(rows)
    assert fold_count(made(truth, ProblemKind.REGRESSION), seconds) == count


def test_large_tables_are_split_quickly() -> None:
    """200,000 rows with groups of some rows each take no time that a budget would feel."""
    generator = np.random.default_rng(9)
    features = pd.DataFrame(generator.random((200_000, 5)), columns=list("abcde"))
    groups = generator.integers(0, 50_000, 200_000)
    problem = made(generator.integers(0, 10, 200_000), ProblemKind.MULTICLASS, features, groups)
    started = time.process_time()
    fold_splits(problem, 3, SEED)
    assert time.process_time() - started < 3.0
