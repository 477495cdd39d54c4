"""Grows regression trees, compiled. Imports numba."""

import numpy as np

from common.host.compiling import compiled_freely
from services.tuner.domain.surrogate.chance import State, chance
from services.tuner.domain.surrogate.nodes import (
    LEAF,
    MOST_CHOICES,
    Matrix,
    Nodes,
    Numbers,
    Row,
    empty_nodes,
)
from services.tuner.domain.surrogate.splitting import Bench, Lesson, Split, best_split, parted

_FLAT = 1e-12


@compiled_freely
def grow(
    columns: Matrix,
    losses: Row,
    choices: Numbers,
    trees: int,
    tried: int,
    least: float,
    is_bootstrapped: bool,
    room: int,
    state: State,
) -> tuple[Nodes, Numbers, int]:
    """Grows trees on rows drawn with replacement, or on all of them.

    Args:
        columns: Of the rows, (columns, rows).
        losses: What is learned.
        choices: See `Encoding.choices`.
        trees: How many.
        tried: Columns that are tried for each split.
        least: Rows in each leaf.
        is_bootstrapped: Whether rows are drawn.
        room: For so many rows that are added later.
        state: Of all chance.

    Returns:
        The nodes of all trees, the first node of each tree, and how many nodes there are.
    """
    count = len(losses)
    lesson = Lesson(columns, losses, choices, tried, least)
    bench = _bench(len(columns), count, state)
    nodes = empty_nodes(trees * 2 * (count + room))
    ends, roots = np.zeros(len(nodes.mean), np.int64), np.zeros(trees, np.int64)
    used = 0
    for tree in range(trees):
        roots[tree] = used
        drawn = np.arange(count)
        if is_bootstrapped:
            _draw(drawn, state)
        used = _grown(lesson, bench, nodes, drawn, ends, used)
    return nodes, roots, used


@compiled_freely
def _bench(width: int, count: int, state: State) -> Bench:
    return Bench(
        np.arange(width),
        np.empty(count),
        np.empty(count),
        np.empty(count, np.int64),
        np.empty(MOST_CHOICES + 1),
        np.empty(MOST_CHOICES + 1),
        np.empty(MOST_CHOICES + 1, np.int64),
        state,
    )


@compiled_freely
def _draw(drawn: Numbers, state: State) -> None:
    for place in range(len(drawn)):
        drawn[place] = int(chance(state) * len(drawn))


@compiled_freely
def _grown(
    lesson: Lesson, bench: Bench, nodes: Nodes, drawn: Numbers, ends: Numbers, used: int
) -> int:
    """Grows one tree; returns how many nodes there are now.

    While a tree grows, `child` of nodes that were not looked at is where their rows begin.
    """
    node = used
    nodes.child[used], ends[used] = 0, len(drawn)
    used += 1
    while node < used:
        start = nodes.child[node]
        rows = drawn[start : ends[node]]
        split = _split(lesson, bench, nodes, node, rows)
        if split.feature != LEAF:
            middle = start + parted(lesson, bench, rows, split)
            nodes.feature[node], nodes.threshold[node] = split.feature, split.threshold
            nodes.bits[node], nodes.child[node] = split.bits, used
            nodes.child[used], ends[used] = start, middle
            nodes.child[used + 1], ends[used + 1] = middle, ends[node]
            used += 2
        node += 1
    return used


@compiled_freely
def _split(lesson: Lesson, bench: Bench, nodes: Nodes, node: int, rows: Numbers) -> Split:
    """Says what a node's rows are, and returns how it is split."""
    total, squares = 0.0, 0.0
    for place in range(len(rows)):
        bench.losses[place] = lesson.losses[rows[place]]
        total += bench.losses[place]
    mean = total / len(rows)
    for place in range(len(rows)):
        squares += (bench.losses[place] - mean) ** 2
    nodes.mean[node], nodes.variance[node] = mean, squares / len(rows)
    nodes.example[node] = rows[0]
    if len(rows) < 2 * lesson.least or squares <= _FLAT:
        return Split(LEAF, 0.0, 0)
    return best_split(lesson, bench, rows, total)
