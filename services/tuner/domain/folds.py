"""Folds: which rows are learned from and which are judged on, without leaks between them."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from common.data.schema import ColumnType
from services.tuner.domain.fold_counts import TEXT_COLUMNS, usual_fold_count
from services.tuner.domain.problem import Positions, Problem, ProblemKind
from services.tuner.domain.trials.trial import Split

_HOLDOUT_PARTS = 6
_MOST_QUANTILES = 50
_LARGEST_REPEAT = 4
_LARGE_SHARE = 200
_ALWAYS_TRAIN = -1


def fold_count(problem: Problem, seconds: float) -> int:
    """Returns into how many folds a problem is usually split.

    Args:
        problem: The problem.
        seconds: What the whole search may take.

    Returns:
        8 for small tables, fewer for large ones or where time is short, 1 for a holdout.
    """
    texts = len(problem.names(ColumnType.TEXT))
    columns = len(problem.columns) + TEXT_COLUMNS * texts
    return usual_fold_count(problem.row_count, columns, seconds)


def fold_splits(problem: Problem, count: int, seed: int) -> list[Split]:
    """Splits the rows so that each part is like the whole; another seed gives a repetition.

    Groups stay on one side of every split, and so do rows whose features are exactly equal, unless
    so many are that it is no surprise. Each class or label with two rows or more is in every
    training part; where that needs it, rows are in all of them and never judged, for instance that
    of a class with one row.

    Args:
        problem: The problem.
        count: Number of splits; 1 for a single one that judges about a sixth of the rows. There
            are fewer where there are not enough rows or groups.
        seed: Of the chance.

    Raises:
        ValueError: Rows or groups are too few for any split.
    """
    generator = np.random.default_rng(seed)
    parts = _HOLDOUT_PARTS if count == 1 else count
    units = _units(problem, parts)
    strata = _strata(problem, parts)
    folds = generator.permutation(parts)[_dealt(units, strata, parts, generator)][units]
    for labels in _label_sets(problem):
        _pin(folds, labels, units)
    wanted = range(1 if count == 1 else parts)
    splits = [_split(folds == fold) for fold in wanted if (folds == fold).any()]
    splits = [split for split in splits if len(split.train)]
    if not splits:
        raise ValueError("There are too few rows or groups to judge a model on some of them.")
    return splits


def thinned(problem: Problem, rows: Positions, share: float, seed: int) -> Positions:
    """Returns a share of some rows, by class; a smaller share is part of a larger one.

    Args:
        problem: The problem.
        rows: Positions.
        share: Above 0, at most 1.
        seed: Of the chance.

    Returns:
        Positions, ascending; each class that has rows keeps one at least.
    """
    if share >= 1:
        return rows
    strata = _classes(problem)[rows]
    chance = np.random.default_rng(seed).random(problem.row_count)[rows]
    order = np.lexsort((chance, strata))
    _, starts, counts = np.unique(strata[order], return_index=True, return_counts=True)
    place = np.arange(len(rows)) - np.repeat(starts, counts)
    kept = order[place < np.repeat(np.ceil(share * counts), counts)]
    thin: Positions = np.sort(rows[kept])
    return thin


def _classes(problem: Problem) -> Positions:
    """Returns for each row its class, or its rarest label; all alike of a regression."""
    if problem.kind is ProblemKind.MULTI_LABEL:
        rarest: Positions = _label_strata(problem.truth) // (problem.truth.shape[1] + 1)
        return rarest
    if problem.kind.has_classes:
        return problem.truth.astype(np.int64)
    return np.zeros(problem.row_count, np.int64)


def _split(is_judged: npt.NDArray[np.bool_]) -> Split:
    return Split(np.flatnonzero(~is_judged), np.flatnonzero(is_judged))


def _units(problem: Problem, parts: int) -> Positions:
    """Returns for each row the number of the unit that it stays together with."""
    rows = problem.row_count
    repeated = _repeats(problem, max(rows // (_LARGEST_REPEAT * parts), 2))
    if problem.groups is None:
        return repeated
    _, groups = np.unique(problem.groups, return_inverse=True)
    if len(np.unique(repeated)) == rows:
        return groups
    # A graph of groups and repeated rows: what is connected by any way stays together.
    nodes = int(groups.max()) + 1 + int(repeated.max()) + 1
    edges = (groups, groups.max() + 1 + repeated)
    graph = coo_array((np.ones(rows), edges), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, units = np.unique(component[groups], return_inverse=True)
    return units


def _repeats(problem: Problem, most: int) -> Positions:
    """Returns equal numbers for rows with equal features, where at most so many are equal."""
    alone = np.arange(problem.row_count)
    if not len(problem.columns):
        return alone
    hashes = pd.util.hash_pandas_object(problem.features, index=False).to_numpy()
    _, first, inverse, counts = np.unique(
        hashes, return_index=True, return_inverse=True, return_counts=True
    )
    units = np.where(counts[inverse] <= most, first[inverse], alone)
    return np.unique(units, return_inverse=True)[1]


def _strata(problem: Problem, parts: int) -> Positions:
    """Returns for each row a number: the rarer what it has, the smaller."""
    if problem.kind is ProblemKind.MULTI_LABEL:
        return _label_strata(problem.truth)
    if problem.kind.has_classes:
        rarity: Positions = np.argsort(np.argsort(problem.class_counts, kind="stable"))
        return rarity[problem.truth.astype(np.int64)]
    bins = max(min(problem.row_count // parts, _MOST_QUANTILES), 1)
    ranks: Positions = np.argsort(np.argsort(problem.truth, kind="stable"))
    return ranks * bins // problem.row_count


def _label_strata(truth: npt.NDArray[np.generic]) -> Positions:
    """Numbers rows by the rarest label that they have, and by the next rarest."""
    present = truth[:, np.argsort(truth.sum(axis=0), kind="stable")].astype(bool)
    none = present.shape[1]
    first: Positions = np.where(present.any(axis=1), present.argmax(axis=1), none)
    has_first = np.flatnonzero(first < none)
    present[has_first, first[has_first]] = False
    second = np.where(present.any(axis=1), present.argmax(axis=1), none)
    both: Positions = first * (none + 1) + second
    return both


def _dealt(
    units: Positions, strata: Positions, parts: int, generator: np.random.Generator
) -> Positions:
    """Returns the fold of each unit, so that each has its part of the rows and of each stratum."""
    sizes = np.bincount(units)
    stratum = np.full(len(sizes), strata.max())
    np.minimum.at(stratum, units, strata)
    chance = generator.random(len(sizes))
    is_large = sizes > max(len(units) // (parts * _LARGE_SHARE), 1)
    folds = np.zeros(len(sizes), np.int64)
    small = np.flatnonzero(~is_large)
    ordered = small[np.lexsort((chance[small], -sizes[small], stratum[small]))]
    folds[ordered] = np.arange(len(small)) % parts
    large = np.flatnonzero(is_large)
    _deal_large(folds, large[np.lexsort((chance[large], -sizes[large]))], units, strata, parts)
    return folds


def _deal_large(
    folds: Positions, large: Positions, units: Positions, strata: Positions, parts: int
) -> None:
    """Gives each unit, in order, to the fold that has the least of what the unit is made of."""
    _, codes, totals = np.unique(strata, return_inverse=True, return_counts=True)
    by_unit = np.argsort(units, kind="stable")
    ends = np.cumsum(np.bincount(units))
    loads = np.zeros((parts, len(totals)))
    for unit in large:
        held = codes[by_unit[ends[unit - 1] if unit else 0 : ends[unit]]]
        like = (loads[:, held] / totals[held]).sum(axis=1)
        full = loads.sum(axis=1) * (len(held) / len(units))
        folds[unit] = np.argmin(like + full)
        np.add.at(loads[folds[unit]], held, 1.0)


def _label_sets(problem: Problem) -> list[Positions]:
    """Returns whose every value is to be in each training part."""
    if problem.kind is ProblemKind.REGRESSION:
        return []
    return list(problem.truth.astype(np.int64).reshape(problem.row_count, -1).T)


def _pin(folds: Positions, labels: Positions, units: Positions) -> None:
    """Keeps a unit in all training parts for each label that only one fold has."""
    lowest = np.full(labels.max() + 1, len(folds))
    highest = np.full(labels.max() + 1, _ALWAYS_TRAIN)
    np.minimum.at(lowest, labels, folds)
    np.maximum.at(highest, labels, folds)
    for label in np.flatnonzero((lowest == highest) & (lowest != _ALWAYS_TRAIN)):
        found, counts = np.unique(units[labels == label], return_counts=True)
        rows = np.flatnonzero(units == found[counts.argmin()])
        left = (folds == lowest[label]).sum() - len(rows)
        # A group that is most of a fold tells more when it is judged.
        if len(rows) == 1 or left >= len(rows):
            folds[rows] = _ALWAYS_TRAIN
