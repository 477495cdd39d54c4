"""Frequent patterns: rows that hold few of the combinations that most rows hold are odd."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlxtend.frequent_patterns import apriori
from pydantic import Field

from services.outlier.domain.detector import (
    Card,
    Codes,
    Detector,
    Generator,
    Rows,
    Scores,
    UnfitError,
)

_LONGEST = 3
_MOST_ITEMS = 64
_MOST_ROWS = 4000
_CHUNK = 16_384

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Broken:
    """A frequent pattern that a row breaks: it holds all of its items but one.

    Attributes:
        columns: Positions of the pattern's columns, that of the missed item last.
        codes: What the pattern has in these columns.
        support: Share of the fitted rows that hold all items.
        confidence: Share of the fitted rows with the other items that hold the missed one too.
    """

    columns: tuple[int, ...]
    codes: tuple[int, ...]
    support: float
    confidence: float


@dataclass(frozen=True)
class PatternScorer:
    """Frequent patterns as arrays.

    Attributes:
        columns: Of the items, shape (items,).
        codes: Of these columns, shape (items,).
        patterns: Items of each pattern, shape (patterns, 3); shorter ones repeat their first.
        supports: Share of the fitted rows that hold a pattern, shape (patterns,), falling.
    """

    columns: Codes
    codes: Codes
    patterns: Codes
    supports: npt.NDArray[np.float64]

    def score(self, rows: Rows) -> Scores:
        """Returns 1 - the frequent-pattern outlier factor of He et al.: 0 to 1.

        The factor is the mean over all patterns of the support of those that a row holds.
        """
        scores = np.empty(rows.count)
        for start in range(0, rows.count, _CHUNK):
            has = self._has(rows.codes[start : start + _CHUNK])
            held = has[:, self.patterns].all(axis=2)
            scores[start : start + _CHUNK] = 1 - held @ self.supports / len(self.supports)
        return scores

    def broken(self, codes: Codes, most: int = 5) -> list[Broken]:
        """Names the frequent patterns that a row breaks, first where it is most surprising.

        A pattern that contains a named one with the same item missed is left out.

        Args:
            codes: One row, shape (columns,).
            most: Patterns to name, at most.
        """
        has = self._has(codes[None])[0]
        patterns = map(frozenset, self.patterns.tolist())
        supports = dict(zip(patterns, self.supports.tolist(), strict=True))
        found = []
        for items, support in supports.items():
            missed = [item for item in items if not has[item]]
            if len(missed) == 1:
                confidence = support / supports.get(items - set(missed), 1.0)
                found.append((confidence, support, items, missed[0]))
        named: list[tuple[float, float, frozenset[int], int]] = []
        for one in sorted(found, key=lambda one: (-one[0], len(one[2]), -one[1])):
            if not any(one[3] == earlier[3] and earlier[2] < one[2] for earlier in named):
                named.append(one)
        return [self._named(*one) for one in named[:most]]

    def _named(
        self, confidence: float, support: float, items: frozenset[int], missed: int
    ) -> Broken:
        """Returns a broken pattern by its columns and codes."""
        order = [*sorted(items - {missed}), missed]
        columns, codes = self.columns[order].tolist(), self.codes[order].tolist()
        return Broken(tuple(columns), tuple(codes), support, confidence)

    def _has(self, codes: Codes) -> Truths:
        """Returns whether rows have items, shape (rows, items)."""
        has: Truths = codes[:, self.columns] == self.codes
        return has


class FrequentPatterns(Detector):
    """Frequent-pattern outlier factor (He, Xu, Huang and Deng 2005), patterns found by Apriori.

    Labels and bins of numbers that many rows hold together are patterns of up to three items.
    """

    min_support: Annotated[float, Field(ge=0.01, le=1)] = 0.1
    """Share of rows that hold a pattern, at least; more where patterns would be too many."""
    most_patterns: Annotated[int, Field(ge=10, le=1000)] = 300
    """Number of patterns kept, at most: the most frequent."""

    card: ClassVar[Card] = Card(
        fits="Labels whose usual combinations are few; says which of them a row breaks.",
        cost="fit O(most_patterns^1.5 n), score O(most_patterns)",
        source="He, Xu, Huang, Deng: FP-outlier: Frequent pattern based outlier detection, 2005",
        most_rows=_MOST_ROWS,
    )

    def fit(self, rows: Rows, generator: Generator) -> PatternScorer:
        """Finds the patterns of at most some thousand of the rows."""
        codes = rows.codes
        if rows.count > _MOST_ROWS:
            codes = codes[generator.choice(rows.count, _MOST_ROWS, replace=False)]
        items, table = _frequent_items(codes, self.min_support)
        pairs = apriori(table, self.min_support, max_len=2)["support"].to_numpy()
        least = self.min_support
        if len(pairs) > self.most_patterns:  # all of three items would be far more yet
            least = np.sort(pairs)[-self.most_patterns]
        found = apriori(table, least, max_len=_LONGEST)
        found = found.sort_values("support", ascending=False, kind="stable")[: self.most_patterns]
        patterns = np.array([_padded(sorted(chosen)) for chosen in found["itemsets"]], np.int32)
        return PatternScorer(items[:, 0], items[:, 1], patterns, found["support"].to_numpy(float))


def _frequent_items(codes: Codes, min_support: float) -> tuple[Codes, pd.DataFrame]:
    """Returns the most frequent pairs of column and code, and which rows hold them.

    Raises:
        UnfitError: None is frequent enough.
    """
    found: list[tuple[int, int, int]] = []
    for column in range(codes.shape[1]):
        values, counts = np.unique(codes[:, column], return_counts=True)
        frequent = (counts >= min_support * len(codes)) & (values != 0)
        for value, count in zip(values[frequent], counts[frequent], strict=True):
            found.append((-count, column, value))
    if not found:
        raise UnfitError(
            f"No value is in {min_support:.0%} of the rows, so there are no frequent patterns. "
            "Lower min_support, or leave out columns whose values are all different."
        )
    items = np.array(sorted(found)[:_MOST_ITEMS], np.int64)[:, 1:].astype(np.int32)
    return items, pd.DataFrame(codes[:, items[:, 0]] == items[:, 1])


def _padded(places: list[int]) -> list[int]:
    """Returns the items of a pattern, its first repeated up to the longest pattern's length."""
    return places + [places[0]] * (_LONGEST - len(places))
