"""Growing trees at random: each split is drawn, none is chosen to fit anything."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from services.outlier.domain.detector import Generator, Matrix
from services.outlier.domain.detectors.trees import Sample, Trees

_MOST_COLUMNS = 512  # of one tree: it compares fewer, and rows may have thousands
_EULER = 0.5772156649


def path_length(rows: npt.NDArray[np.integer]) -> Matrix:
    """Returns the mean path length in trees of so many rows (Liu et al. 2008, equation 1)."""
    several = np.maximum(rows, 2).astype(float)
    lengths = 2 * (np.log(np.maximum(several - 1, 1)) + _EULER) - 2 * (several - 1) / several
    return np.where(rows > 2, lengths, np.where(rows == 2, 1.0, 0.0))


def grow(samples: Iterable[Sample], mixed: int, generator: Generator) -> Trees:
    """Returns a random tree for each sample; a leaf's value is its path's length.

    A path that ends in several rows is as much longer as these would make it.

    Args:
        samples: Rows of each tree, all of one shape (rows, features).
        mixed: Features that are added up for a split, with random weights; 0 splits by single
            features.
        generator: Draws features, weights and thresholds.
    """
    grown = [_grow_tree(sample, mixed, generator) for sample in samples]
    columns, weights, thresholds, values = (np.stack(parts) for parts in zip(*grown, strict=True))
    if not mixed:
        weights = np.empty((0, 0, 0), np.float32)
    return Trees(columns, weights, thresholds, values)


def _grow_tree(
    sample: Sample, mixed: int, generator: Generator
) -> tuple[npt.NDArray[np.int32], Sample, Sample, Matrix]:
    """Returns columns, weights, thresholds and values of a tree, grown level by level."""
    usable = np.flatnonzero(np.ptp(sample, axis=0) > 0)
    if len(usable) > _MOST_COLUMNS:
        usable = generator.choice(usable, _MOST_COLUMNS, replace=False)
    if not len(usable):
        usable = np.zeros(1, np.int64)
    rows = sample[:, usable]
    depth = max(1, int(np.ceil(np.log2(len(rows)))))
    inner, several = 2**depth - 1, min(max(mixed, 1), len(usable))
    columns = np.zeros((inner, max(mixed, 1)), np.int32)
    weights = np.zeros(columns.shape, np.float32)
    thresholds = np.full(inner, np.inf, np.float32)
    nodes, lengths = np.zeros(len(rows), np.int64), np.zeros(len(rows))
    for _ in range(depth):
        order = np.argsort(nodes, kind="stable")
        present, starts, group = np.unique(nodes[order], return_index=True, return_inverse=True)
        ordered = rows[order]
        drawn = _draw_columns(ordered, starts, several, generator)
        factors = np.ones(drawn.shape, np.float32)
        if mixed:
            factors = generator.normal(size=drawn.shape).astype(np.float32)
        sums = _add_up(ordered, drawn[group], factors[group])
        lowest, highest = np.minimum.reduceat(sums, starts), np.maximum.reduceat(sums, starts)
        splits = highest > lowest
        above = _between(lowest, highest, generator)
        columns[present, :several] = usable[drawn]
        weights[present, :several] = factors
        thresholds[present] = np.where(splits, above, np.float32(np.inf))
        lengths[order] += splits[group]
        nodes[order] = 2 * nodes[order] + 1 + (sums > thresholds[nodes[order]])
    values = np.zeros(inner + 1)
    counts = np.bincount(nodes - inner, minlength=inner + 1)
    values[nodes - inner] = lengths + path_length(counts)[nodes - inner]
    return columns, weights, thresholds, values


def _draw_columns(
    ordered: Sample, starts: npt.NDArray[np.int64], several: int, generator: Generator
) -> npt.NDArray[np.int64]:
    """Draws features for each node, before others those in which the node's rows differ.

    Args:
        ordered: Rows, those of a node together.
        starts: Where the rows of each node start.
        several: Features to draw for a node.
        generator: Draws them.
    """
    spread = np.maximum.reduceat(ordered, starts) > np.minimum.reduceat(ordered, starts)
    chances = generator.random(spread.shape) + spread
    return np.argpartition(-chances, several - 1, axis=1)[:, :several]


def _add_up(ordered: Sample, columns: npt.NDArray[np.int64], weights: Sample) -> Sample:
    """Returns each row's weighted sum, in the order in which trees are walked."""
    total = np.zeros(len(ordered), np.float32)
    for part in range(columns.shape[1]):
        total += weights[:, part] * ordered[np.arange(len(ordered)), columns[:, part]]
    return total


def _between(lowest: Sample, highest: Sample, generator: Generator) -> Sample:
    """Draws a threshold for each node with rows on both sides of it, where they differ."""
    share = generator.random(len(lowest)).astype(np.float32)
    drawn = lowest * (1 - share) + highest * share
    return np.where(drawn < highest, np.maximum(drawn, lowest), lowest)
