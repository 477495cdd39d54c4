"""Walks through trees again, where a changed value can lead elsewhere."""

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.importance.compiling import compiled

Matrix = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]

_ROWS = 256


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
    width = values.shape[1]
    features = len(slots)
    found = np.empty(features, np.int32)
    first = np.empty(features, np.int32)
    low, high = np.empty(features), np.empty(features)
    place = np.full(features, -1, np.int32)
    for block in range(0, len(own), _ROWS):
        for tree in range(len(roots)):
            target = targets[tree]
            for row in range(block, min(block + _ROWS, len(own))):
                count = 0
                node = roots[tree]
                feature = nodes[node].feature
                while feature >= 0:
                    value = own[row, feature]
                    threshold = nodes[node].threshold
                    if slots[feature] >= 0 and place[feature] < 0:
                        place[feature] = count
                        found[count], first[count] = feature, node
                        low[count], high[count] = -np.inf, np.inf
                        count += 1
                    at = place[feature]
                    if np.isnan(value):
                        left = nodes[node].missing_left != 0
                    else:
                        left = value <= threshold
                        if at >= 0 and left:
                            high[at] = min(high[at], threshold)
                        elif at >= 0:
                            low[at] = max(low[at], threshold)
                    node = nodes[node].left if left else nodes[node].right
                    feature = nodes[node].feature
                leaf = node
                for output in range(width):
                    sums[row, target + output] += values[leaf, output]
                for at in range(count):
                    feature = found[at]
                    place[feature] = -1
                    is_missing = np.isnan(own[row, feature])
                    for repeat in range(len(others)):
                        new = others[repeat, row, feature]
                        if not is_missing and low[at] < new <= high[at]:
                            continue
                        node = first[at]
                        tested = nodes[node].feature
                        while tested >= 0:
                            value = new if tested == feature else own[row, tested]
                            if np.isnan(value):
                                left = nodes[node].missing_left != 0
                            else:
                                left = value <= nodes[node].threshold
                            node = nodes[node].left if left else nodes[node].right
                            tested = nodes[node].feature
                        if node == leaf:
                            continue
                        for output in range(width):
                            changes[slots[feature], repeat, row, target + output] += (
                                values[node, output] - values[leaf, output]
                            )
