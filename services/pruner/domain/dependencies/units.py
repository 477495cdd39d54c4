"""What goes or stays together: a union-find over single indices of dimensions."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


class Units:
    """Indices of dimensions, by number; those that must go together are one unit."""

    def __init__(self) -> None:
        """Knows of none."""
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}

    def fresh(self, count: int) -> Labels:
        """Returns so many new units."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def unite(self, first: Labels, second: Labels) -> None:
        """Makes one unit of each pair; shapes are broadcast."""
        pairs = np.unique(np.stack(np.broadcast_arrays(first, second)).reshape(2, -1), axis=1)
        for one, other in pairs.T.tolist():
            self._unite(one, other)

    def freeze(self, labels: Labels, reason: str) -> None:
        """Says that units may not go, and why."""
        for root in np.unique(self.roots(labels)).tolist():
            self._reasons.setdefault(root, reason)

    def roots(self, labels: Labels) -> Labels:
        """Returns one number for each unit, shaped alike."""
        found = np.array([self._root(each) for each in labels.ravel().tolist()], np.int64)
        return found.reshape(labels.shape)

    def reason(self, root: int) -> str:
        """Returns why a unit may not go; empty where it may."""
        return self._reasons.get(root, "")

    def _root(self, label: int) -> int:
        root = label
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[label] != root:
            self._parents[label], label = root, self._parents[label]
        return root

    def _unite(self, one: int, other: int) -> None:
        kept, gone = sorted((self._root(one), self._root(other)))
        if kept == gone:
            return
        self._parents[gone] = kept
        reason = self._reasons.pop(gone, "")
        if reason:
            self._reasons.setdefault(kept, reason)


def unite_along(units: Units, labels: Labels, axis: int) -> None:
    """Makes one unit of all labels that have the same index along an axis."""
    rows = np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)
    units.unite(rows[:, :1], rows)
