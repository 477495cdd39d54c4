"""Which rows train, which validate, which test: exact shares, deterministic, streaming."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.schema import Part, SplitCounts

Codes = npt.NDArray[np.int32]
Parts = npt.NDArray[np.uint8]


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
