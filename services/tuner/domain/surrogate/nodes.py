"""Trees as arrays, and what is asked of them, compiled. Imports numba."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from common.host.compiling import compiled_freely
from services.tuner.domain.surrogate.chance import State, chance

Matrix = npt.NDArray[np.float64]
Row = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

LEAF = -1
MOST_CHOICES = 62
"""More values than that are split like numbers: a set of them must fit 64 bits."""


class Nodes(NamedTuple):
    """Of all trees of a forest, with room for more.

    Attributes:
        feature: The column that is asked; `LEAF` in leaves.
        threshold: Smaller values, and equal ones, go left.
        bits: Instead of a threshold the choices that go left; the first bit stands for what does
            not count. 0 for numbers.
        child: The left one; the right one follows it.
        mean: Of the rows.
        variance: Of the rows.
        example: One of the rows.
    """

    feature: Numbers
    threshold: Row
    bits: Numbers
    child: Numbers
    mean: Row
    variance: Row
    example: Numbers


@compiled_freely
def empty_nodes(most: int) -> Nodes:
    """Returns room for so many nodes."""
    return Nodes(
        np.full(most, LEAF, np.int64),
        np.zeros(most),
        np.zeros(most, np.int64),
        np.zeros(most, np.int64),
        np.zeros(most),
        np.zeros(most),
        np.zeros(most, np.int64),
    )


@compiled_freely
def choice_of(value: float, count: int) -> int:
    """Returns which bit stands for a choice, of so many; 0 for what does not count."""
    return min(int(value * count), count - 1) + 1 if value >= 0 else 0


@compiled_freely
def goes_left(value: float, threshold: float, bits: int, count: int) -> bool:
    """Returns whether a row with a value goes left."""
    if bits == 0:
        return value <= threshold
    return (bits >> choice_of(value, count)) & 1 == 1


@compiled_freely
def leaf_of(nodes: Nodes, root: int, choices: Numbers, row: Row) -> int:
    """Returns where a row ends up in a tree."""
    node = root
    asked = nodes.feature[node]
    while asked >= 0:
        left = goes_left(row[asked], nodes.threshold[node], nodes.bits[node], choices[asked])
        node = nodes.child[node] + (0 if left else 1)
        asked = nodes.feature[node]
    return node


@compiled_freely
def ask(nodes: Nodes, roots: Numbers, choices: Numbers, rows: Matrix) -> tuple[Row, Row]:
    """Returns mean and variance of each row, by the law of total variance."""
    sums, squares, inner = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for root in roots:
        for place in range(len(rows)):
            leaf = leaf_of(nodes, root, choices, rows[place])
            sums[place] += nodes.mean[leaf]
            squares[place] += nodes.mean[leaf] ** 2
            inner[place] += nodes.variance[leaf]
    means = sums / len(roots)
    return means, np.maximum(squares / len(roots) - means**2, 0.0) + inner / len(roots)


@compiled_freely
def add(
    nodes: Nodes,
    used: int,
    roots: Numbers,
    choices: Numbers,
    rows: Matrix,
    place: int,
    value: float,
    state: State,
) -> int:
    """Puts a row into each tree: its leaf is split between the row and another one in it.

    Args:
        nodes: With room for two more for each tree.
        used: How many nodes there are.
        roots: First node of each tree.
        choices: See `Encoding.choices`.
        rows: Those that the trees know, and the new one.
        place: Of the new one.
        value: What it is told to be.
        state: Of all chance.

    Returns:
        How many nodes there are now.
    """
    for root in roots:
        leaf = leaf_of(nodes, root, choices, rows[place])
        column = _column_between(rows[place], rows[nodes.example[leaf]], state)
        if column != LEAF:
            _split_leaf(nodes, leaf, used, column, choices[column], rows, place, state)
            own = used if rows[place, column] < rows[nodes.example[leaf], column] else used + 1
            nodes.mean[own], nodes.variance[own], nodes.example[own] = value, 0.0, place
            used += 2
    return used


@compiled_freely
def _split_leaf(
    nodes: Nodes,
    leaf: int,
    used: int,
    column: int,
    count: int,
    rows: Matrix,
    place: int,
    state: State,
) -> None:
    """Splits a leaf between its example and another row; both children are what it was."""
    one, other = rows[place, column], rows[nodes.example[leaf], column]
    low, high = min(one, other), max(one, other)
    if 0 < count <= MOST_CHOICES:
        nodes.bits[leaf] = 1 << choice_of(low, count)
    else:
        # Between what does not count and the rest there is nothing.
        nodes.threshold[leaf] = -0.5 if low < 0 else low + (high - low) * chance(state)
    nodes.feature[leaf], nodes.child[leaf] = column, used
    for child in range(used, used + 2):
        nodes.mean[child], nodes.variance[child] = nodes.mean[leaf], nodes.variance[leaf]
        nodes.example[child] = nodes.example[leaf]


@compiled_freely
def _column_between(row: Row, other: Row, state: State) -> int:
    """Returns a column in which two rows differ, wider apart ones more often; or `LEAF`."""
    total = 0.0
    for column in range(len(row)):
        total += abs(row[column] - other[column])
    limit, seen = chance(state) * total, 0.0
    for column in range(len(row)):
        seen += abs(row[column] - other[column])
        if seen > limit:
            return column
    return LEAF
