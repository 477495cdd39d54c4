"""What stands in for weights in trees."""

from collections.abc import Sequence

import numpy as np

from services.analyzer.domain.structure.trees import Tree
from services.analyzer.domain.weights.findings import TreeSplits, TreeWeights

_MOST_DEPTHS = 64
_MOST_SPLITS = 50
_MOST_THRESHOLDS = 400


def tree_weights(trees: Sequence[Tree], names: Sequence[str]) -> TreeWeights:
    """Returns how trees split.

    Args:
        trees: At least one.
        names: Of the columns that go into them.
    """
    columns = np.concatenate([tree.columns for tree in trees])
    counts = np.bincount(columns, minlength=len(names))
    order = np.argsort(-counts, kind="stable")[: min(_MOST_SPLITS, int((counts > 0).sum()))]
    thresholds = np.concatenate([tree.thresholds for tree in trees])
    depths = np.bincount([min(tree.depth, _MOST_DEPTHS - 1) for tree in trees])
    leaves = sum(tree.leaves for tree in trees)
    return TreeWeights(
        tree_count=len(trees),
        leaf_count=leaves,
        depths=tuple(depths.tolist()),
        mean_leaves=leaves / len(trees),
        splits=tuple(
            _splits(names[place], int(counts[place]), thresholds[columns == place])
            for place in order
        ),
        unused_columns=int((counts == 0).sum()),
    )


def thresholds_of(trees: Sequence[Tree], names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Returns thresholds by column, of many some that are spread evenly."""
    columns = np.concatenate([tree.columns for tree in trees])
    thresholds = np.concatenate([tree.thresholds for tree in trees])
    found = {}
    for place in np.unique(columns):
        own = np.sort(thresholds[(columns == place) & np.isfinite(thresholds)])
        chosen = np.linspace(0, len(own) - 1, min(len(own), _MOST_THRESHOLDS)).astype(np.int64)
        if len(own):
            found[names[place]] = tuple(own[chosen].tolist())
    return found


def _splits(
    column: str, count: int, thresholds: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> TreeSplits:
    own = thresholds[np.isfinite(thresholds)]
    if not len(own):
        return TreeSplits(column, count, None, None, None)
    return TreeSplits(column, count, float(own.min()), float(np.median(own)), float(own.max()))
