"""Which rows train, which validate, which test: exact shares, deterministic, streaming."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.schema import Part, SplitCounts

Codes = npt.NDArray[np.int32]
Parts = npt.NDArray[np.uint8]
Sizes = npt.NDArray[np.int64]
Keys = npt.NDArray[np.generic]
Hashes = npt.NDArray[np.uint64]

# Keys that are worth merging, 16 bytes each.
_MIN_MERGE = 1 << 16


@dataclass(frozen=True)
class SplitPlan:
    """How to split.

    Attributes:
        validation_fraction: Share of rows for validation, 0 to below 1.
        test_fraction: Share of rows for test, 0 to below 1; with validation below 1.
        seed: 0 to 2^32 - 1.
    """

    validation_fraction: float
    test_fraction: float
    seed: int


class SplitAssigner:
    """Gives each row its part as rows stream by in order.

    The shares are exact to a row, over all rows and within each class, and every class keeps at
    least one row to train on. Each class's parts are one shuffled queue of a byte a row, so the
    result depends on the rows' classes, the plan and nothing else.
    """

    def __init__(self, plan: SplitPlan, class_counts: Sequence[int]) -> None:
        """Prepares the queues.

        Args:
            plan: How to split.
            class_counts: Rows of each class; a single number where the split is not stratified.
        """
        counts = split_class_counts(class_counts, plan.validation_fraction, plan.test_fraction)
        self._queues = [_shuffled(plan.seed, index, parts) for index, parts in enumerate(counts)]
        self._taken = [0] * len(counts)

    def assign(self, codes: Codes) -> Parts:
        """Returns the parts of the next rows.

        Args:
            codes: Class of each row, shape (rows,), an index into `class_counts`.

        Raises:
            ValueError: There are more rows of a class than was announced.
        """
        parts = np.empty(len(codes), np.uint8)
        for code in np.unique(codes):
            where = np.flatnonzero(codes == code)
            parts[where] = self._next(int(code), len(where))
        return parts

    def _next(self, code: int, rows: int) -> Parts:
        start = self._taken[code]
        self._taken[code] = start + rows
        queue = self._queues[code]
        if start + rows > len(queue):
            raise ValueError(f"class {code} has more than the {len(queue)} rows announced")
        return queue[start : start + rows]


class BlockAssigner:
    """Gives each row its part by a key, of which all rows stay together: a group, or a time.

    The parts follow the order of the keys: the smallest train, then come validation and test.
    """

    def __init__(self, keys: Keys, parts: Parts) -> None:
        """Takes the parts of all keys.

        Args:
            keys: Distinct keys in ascending order, shape (keys,).
            parts: The part of each, shape (keys,).
        """
        self._keys = keys
        self._parts = parts

    def assign(self, keys: Keys) -> Parts:
        """Returns the parts of the next rows.

        Args:
            keys: Key of each row, shape (rows,).

        Raises:
            ValueError: A key was not announced.
        """
        where = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if not np.array_equal(self._keys[where], keys):
            raise ValueError("a row has a key that was not there in the first pass")
        return self._parts[where]


class GroupAssigner:
    """Gives rows of known groups the part of these, and other groups one by their hash alone.

    So a group that is new has its part whatever comes with it, and keeps it from then on.
    """

    def __init__(self, keys: Keys, parts: Parts, plan: SplitPlan) -> None:
        """Takes the groups that are known.

        Args:
            keys: Their hashes, distinct, shape (groups,).
            parts: The part of each, shape (groups,).
            plan: The shares of the groups that are not; its seed is in the hashes.
        """
        order = np.argsort(keys)
        self._keys, self._parts = keys[order], parts[order]
        test = plan.test_fraction
        self._edges = [1 - plan.validation_fraction - test, 1 - test]

    def assign(self, keys: Hashes) -> Parts:
        """Returns the parts of the next rows.

        Args:
            keys: Hash of each row's group, shape (rows,).
        """
        shares = (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53  # from 0 to below 1
        parts: Parts = np.searchsorted(self._edges, shares, "right").astype(np.uint8)
        where = np.searchsorted(self._keys, keys)
        inside = np.flatnonzero(where < len(self._keys))
        known = inside[self._keys[where[inside]] == keys[inside]]
        parts[known] = self._parts[where[known]]
        return parts


class KeyTally:
    """Counts the rows of each key while they stream by; holds 16 bytes for each distinct key."""

    def __init__(self) -> None:
        """Begins with no rows."""
        self._pending: list[tuple[Keys, Sizes]] = []
        self._waiting = 0
        self._settled = 0

    def add(self, keys: Keys) -> None:
        """Counts rows by their keys, shape (rows,)."""
        distinct, sizes = np.unique(keys, return_counts=True)
        self._pending.append((distinct, sizes.astype(np.int64)))
        self._waiting += len(distinct)
        # Merging costs what is merged: do it when that has doubled.
        if self._waiting > max(self._settled, _MIN_MERGE):
            self.counts()

    def counts(self) -> tuple[Keys, Sizes]:
        """Returns the distinct keys in ascending order and the rows of each."""
        keys = np.concatenate([each for each, _ in self._pending])
        sizes = np.concatenate([each for _, each in self._pending])
        distinct, where = np.unique(keys, return_inverse=True)
        totals = np.zeros(len(distinct), np.int64)
        np.add.at(totals, where, sizes)
        self._pending = [(distinct, totals)]
        self._waiting, self._settled = 0, len(distinct)
        return distinct, totals


def split_class_counts(
    class_counts: Sequence[int], validation_fraction: float, test_fraction: float
) -> list[SplitCounts]:
    """Shares out the rows of each class.

    Fractions are rounded along the running total, so that the parts' sizes are right over all
    classes and each class is off by less than one row.

    Args:
        class_counts: Rows of each class.
        validation_fraction: Share of rows for validation.
        test_fraction: Share of rows for test.

    Returns:
        Rows of each part, a class each.
    """
    shares = []
    seen = 0
    for rows in class_counts:
        validation = _rounded(seen, rows, validation_fraction)
        test = _rounded(seen, rows, test_fraction)
        spare = max(rows - 1, 0)
        validation = min(validation, spare)
        test = min(test, spare - validation)
        shares.append(SplitCounts(rows - validation - test, validation, test))
        seen += rows
    return shares


def split_blocks(sizes: Sizes, plan: SplitPlan) -> Parts:
    """Shares out blocks of rows in their order: first to train, then validation, then test.

    Each part's size is off by less than its largest blocks at the edges; each part that is asked
    for gets at least one block.

    Args:
        sizes: Rows of each block, in order, shape (blocks,).
        plan: How to split; its seed plays no role.

    Returns:
        The part of each block, shape (blocks,).

    Raises:
        ValueError: There are fewer blocks than parts.
    """
    validation, test = plan.validation_fraction > 0, plan.test_fraction > 0
    blocks = len(sizes)
    if blocks < 1 + validation + test:
        raise ValueError(f"{blocks} blocks cannot be shared out to {1 + validation + test} parts")
    ends = np.cumsum(sizes)
    rows = float(ends[-1])
    # A block belongs where its middle lies.
    middles = ends - sizes / 2
    first, second = np.searchsorted(
        middles,
        [
            rows * (1 - plan.validation_fraction - plan.test_fraction),
            rows * (1 - plan.test_fraction),
        ],
    )
    first = int(np.clip(first, 1, blocks - validation - test))
    second = int(np.clip(second, first + validation, blocks - test)) if validation else first
    second = second if test else blocks
    parts = np.full(blocks, Part.TEST, np.uint8)
    parts[:second] = Part.VALIDATION
    parts[: first if validation else second] = Part.TRAIN
    return parts


def count_parts(parts: Parts) -> SplitCounts:
    """Counts the rows of each part."""
    counts = np.bincount(parts, minlength=len(Part))
    return SplitCounts(*(int(count) for count in counts))


def _rounded(seen: int, rows: int, fraction: float) -> int:
    return int((seen + rows) * fraction + 0.5) - int(seen * fraction + 0.5)


def _shuffled(seed: int, index: int, counts: SplitCounts) -> Parts:
    parts = np.repeat(
        np.array(list(Part), np.uint8), [counts.train, counts.validation, counts.test]
    )
    return np.random.default_rng([seed, index]).permutation(parts)
