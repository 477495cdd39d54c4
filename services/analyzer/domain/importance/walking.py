"""Walks through trees again, where a changed value can lead elsewhere."""

import numpy as np
import numpy.typing as npt

from common.host.compiling import compiled

Matrix = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]
Row = npt.NDArray[np.float64]

_ROWS = 256


@compiled
def _following(nodes: npt.NDArray[np.void], node: int, value: float) -> int:
    """Returns the node that a value leads to."""
    left = nodes[node].missing_left != 0 if np.isnan(value) else value <= nodes[node].threshold
    found: int = nodes[node].left if left else nodes[node].right
    return found


@compiled
def _leaf(nodes: npt.NDArray[np.void], node: int, own: Row, feature: int, new: float) -> int:
    """Returns the leaf that a row comes to from a node, with a new value of one feature."""
    asked = nodes[node].feature
    while asked >= 0:
        node = _following(nodes, node, new if asked == feature else own[asked])
        asked = nodes[node].feature
    return node


@compiled
def _path(
    nodes: npt.NDArray[np.void],
    node: int,
    own: Row,
    slots: Numbers,
    place: Numbers,
    tested: Numbers,
    first: Numbers,
    low: Row,
    high: Row,
) -> tuple[int, int]:
    """Returns the leaf of a row, and how many features with a slot were tested on the way."""
    count = 0
    feature = nodes[node].feature
    while feature >= 0:
        if slots[feature] >= 0 and place[feature] < 0:
            place[feature] = count
            tested[count], first[count] = feature, node
            low[count], high[count] = -np.inf, np.inf
            count += 1
        at, threshold = place[feature], nodes[node].threshold
        if at >= 0 and own[feature] <= threshold:
            high[at] = min(high[at], threshold)
        elif at >= 0 and own[feature] > threshold:
            low[at] = max(low[at], threshold)
        node = _following(nodes, node, own[feature])
        feature = nodes[node].feature
    return node, count


@compiled
def walk(
    nodes: npt.NDArray[np.void],
    values: Matrix,
    roots: Numbers,
    targets: Numbers,
    slots: Numbers,
    own: Matrix,
    others: npt.NDArray[np.float64],
    sums: Matrix,
    changes: npt.NDArray[np.float64],
) -> None:
    """Adds up what trees give for rows, and how that changes when one column has another value.

    A row's path through a tree can change only where it tests that column: it is walked again from
    there, and not at all if the new value passes the same tests.

    Args:
        nodes: See `Forest`; alike `values`, `roots` and `targets`.
        values: See above.
        roots: See above.
        targets: See above.
        slots: For each feature its place in `changes`, -1 for one that does not change.
        own: The rows, (rows, features).
        others: Rows that give them values, (repeats, rows, features).
        sums: What the trees give is added to it, (rows, outputs).
        changes: What the other values add to that, (slots, repeats, rows, outputs).
    """
    width, features = values.shape[1], len(slots)
    # Of each feature on a row's path: where it is first tested, and which values pass its tests.
    tested, first = np.empty(features, np.int32), np.empty(features, np.int32)
    low, high = np.empty(features), np.empty(features)
    place = np.full(features, -1, np.int32)
    for block in range(0, len(own), _ROWS):
        for tree in range(len(roots)):
            target = targets[tree]
            for row in range(block, min(block + _ROWS, len(own))):
                leaf, count = _path(
                    nodes, roots[tree], own[row], slots, place, tested, first, low, high
                )
                for output in range(width):
                    sums[row, target + output] += values[leaf, output]
                for at in range(count):
                    feature = tested[at]
                    place[feature] = -1
                    is_missing = np.isnan(own[row, feature])
                    for repeat in range(len(others)):
                        new = others[repeat, row, feature]
                        if not is_missing and low[at] < new <= high[at]:
                            continue
                        end = _leaf(nodes, first[at], own[row], feature, new)
                        if end == leaf:
                            continue
                        for output in range(width):
                            changes[slots[feature], repeat, row, target + output] += (
                                values[end, output] - values[leaf, output]
                            )
