"""Forests and boosting of their first trees alone: what always can be had."""

import copy
from collections.abc import Iterator
from typing import Any

from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from common.models.estimators.boosted import BoostedClassifier, BoostedRegressor
from services.pruner.domain.classical.rows import Reduced

_FORESTS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
_BOOSTED = (BoostedClassifier, BoostedRegressor)
_ROUND_SHARES = (0.75, 0.5, 0.35, 0.25)


def has_trees(estimator: Any) -> bool:
    """Returns whether an estimator is of a kind that `first_trees` knows."""
    return isinstance(estimator, _FORESTS + _BOOSTED)


def first_trees(estimator: Any) -> Iterator[Reduced]:
    """Yields forests of half, a quarter and so on of the trees, or boosting of fewer rounds.

    Trees of a forest are alike but for chance: which of them stay does not matter. Rounds of
    boosting build on those before.
    """
    if isinstance(estimator, _FORESTS):
        yield from _fewer_trees(estimator)
    elif isinstance(estimator, _BOOSTED):
        yield from _fewer_rounds(estimator)


def _fewer_trees(forest: Any) -> Iterator[Reduced]:
    before = sum(each.tree_.node_count for each in forest.estimators_)
    count = len(forest.estimators_) // 2
    while count:
        smaller = copy.copy(forest)
        smaller.n_estimators = count
        smaller.estimators_ = forest.estimators_[:count]
        size = sum(each.tree_.node_count for each in smaller.estimators_)
        note = f"{count} of {len(forest.estimators_)} trees {'is' if count == 1 else 'are'} left."
        yield Reduced("first_trees", smaller, size, before, (note,))
        count //= 2


def _fewer_rounds(boosted: BoostedClassifier | BoostedRegressor) -> Iterator[Reduced]:
    rounds, before = boosted.rounds, boosted.tree_count
    for count in sorted({round(share * rounds) for share in _ROUND_SHARES}, reverse=True):
        if 0 < count < rounds:
            smaller = boosted.with_rounds(count)
            note = f"{count} of {rounds} rounds {'is' if count == 1 else 'are'} left."
            yield Reduced("first_rounds", smaller, smaller.tree_count, before, (note,))
