"""Intervals and tests for versions on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from services.analyzer.domain.metrics import Interval, RowScores

LEVEL = 0.95
_FEW_ROWS = 30
_ROUNDING = 1e-6


@dataclass(frozen=True)
class PairedTest:
    """A test of whether two versions differ on the same rows.

    Attributes:
        name: Which test, for people.
        p_value: Probability of such a difference, or a larger one, where there is none.
    """

    name: str
    p_value: float


def row_differences(before: RowScores, after: RowScores) -> RowScores:
    """Returns how row scores differ, (rows,); what is no more than rounding is no change.

    The same network in two formats differs in the last digits, the same way on many rows.
    """
    change = after - before
    limit = _ROUNDING * max(np.abs(before).max(), np.abs(after).max())
    return np.where(np.abs(change) <= limit, 0.0, change)


def share_interval(right: int, rows: int, level: float = LEVEL) -> Interval:
    """Returns a share with its interval (Wilson 1927).

    Args:
        right: How many.
        rows: Of how many, at least 1.
        level: Of confidence.
    """
    z = _quantile(level)
    share = right / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows**2))
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    # Rounding leaves a trace where the bound is exact.
    return Interval(share, low if right else 0.0, high if right < rows else 1.0)


def share_difference(gained: int, lost: int, rows: int, level: float = LEVEL) -> Interval:
    """Returns the difference of two shares of the same rows.

    The interval is Wald's, adjusted (Bonett and Price, Journal of Educational and Behavioral
    Statistics 2012): it holds with few rows, and where none differs.

    Args:
        gained: Rows that only the second has right.
        lost: Rows that only the first has right.
        rows: All rows.
        level: Of confidence.
    """
    up, down = (gained + 1) / (rows + 2), (lost + 1) / (rows + 2)
    half = _quantile(level) * np.sqrt((up + down - (up - down) ** 2) / (rows + 2))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Interval((gained - lost) / rows, float(low), float(high))


def mean_difference(differences: RowScores, level: float = LEVEL) -> Interval:
    """Returns the mean of paired differences with Student's interval; without one of one row."""
    mean, rows = float(differences.mean()), len(differences)
    if rows < 2:
        return Interval(mean, mean, mean)
    half = stats.t.ppf((1 + level) / 2, rows - 1) * differences.std(ddof=1) / np.sqrt(rows)
    return Interval(mean, float(mean - half), float(mean + half))


def shares_test(gained: int, lost: int) -> PairedTest:
    """Tests whether as many rows were gained as lost.

    McNemar's test, exact with mid-p (Fagerland, Lydersen and Laake, BMC Medical Research
    Methodology 2013).

    Args:
        gained: Rows that only the second has right.
        lost: Rows that only the first has right.
    """
    changed, fewer = gained + lost, min(gained, lost)
    distribution = stats.binom(changed, 0.5)
    p_value = 2 * distribution.cdf(fewer) - distribution.pmf(fewer)
    return PairedTest("McNemar's test (mid-p)", float(min(1.0, p_value)))


def means_test(differences: RowScores) -> PairedTest:
    """Tests whether paired differences are around zero: Student's test, Wilcoxon's of few rows."""
    if len(differences) < 2 or not differences.any():
        return PairedTest("no difference", 1.0)
    if len(differences) < _FEW_ROWS:
        found = stats.wilcoxon(differences)
        return PairedTest("Wilcoxon's signed-rank test", float(found.pvalue))
    spread = differences.std(ddof=1)
    if spread == 0:
        return PairedTest("paired t-test", 0.0)
    found = stats.ttest_1samp(differences, 0.0)
    return PairedTest("paired t-test", float(found.pvalue))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    stepwise = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    corrected = np.empty(len(order))
    corrected[order] = stepwise
    return [float(each) for each in corrected]


def _quantile(level: float) -> float:
    return float(stats.norm.ppf((1 + level) / 2))
