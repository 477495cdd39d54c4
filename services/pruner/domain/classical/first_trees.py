"""Forests of their first trees alone: what always can be had."""

import copy
from collections.abc import Iterator
from typing import Any

from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from services.pruner.domain.classical.rows import Reduced

_FORESTS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)


def first_trees(forest: Any) -> Iterator[Reduced]:
    """Yields forests of half, a quarter and so on of the trees; nothing of what is no forest.

    Trees of a forest are alike but for chance: which of them stay does not matter.
    """
    count = len(forest.estimators_) // 2 if isinstance(forest, _FORESTS) else 0
    before = sum(each.tree_.node_count for each in forest.estimators_) if count else 0
    while count:
        smaller = copy.copy(forest)
        smaller.n_estimators = count
        smaller.estimators_ = forest.estimators_[:count]
        size = sum(each.tree_.node_count for each in smaller.estimators_)
        note = f"{count} of {len(forest.estimators_)} trees {'is' if count == 1 else 'are'} left."
        yield Reduced("first_trees", smaller, size, before, (note,))
        count //= 2
