"""One decision tree: its branches by what they gain."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from services.pruner.domain.classical.rows import Candidate, Reduced, Rows, accepted
from services.pruner.domain.trees.collapsing import Branches, rebuilt

_PRICES = 24


def smaller_trees(
    estimator: Any, learned: Rows, held_out: Rows, seed: int, check: Callable[[], None]
) -> Iterator[Reduced]:
    """Yields decision trees whose weakest branches have become leaves."""
    before = estimator.tree_.node_count
    for each in accepted(_candidates(estimator, check), estimator, held_out):
        note = f"Branches that gained least became leaves: {each.size} of {before} nodes are left."
        yield Reduced("collapsed_leaves", each.estimator, each.size, before, (note,))


def _candidates(estimator: Any, check: Callable[[], None]) -> Iterator[Candidate]:
    branches = Branches(estimator.tree_)
    gains = branches.gains()
    shares = np.linspace(0, 1, _PRICES)
    for price in np.unique(np.quantile(gains, shares)) if len(gains) else ():
        check()
        kept = branches.collapsed(float(price)).kept
        smaller = copy.copy(estimator)
        smaller.tree_ = rebuilt(estimator.tree_, kept)
        yield Candidate(smaller, len(kept))
