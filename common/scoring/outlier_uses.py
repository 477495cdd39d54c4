"""Which use of an outlier scan's marks helps: a paired comparison over held-out folds.

Models of different folds share most of their training rows, so that their scores vary less than
those of models of fresh data would. Nadeau and Bengio, "Inference for the Generalization Error"
(Machine Learning 52, 2003), correct the variance of the mean difference for that: 1/n becomes
1/n + (rows held out) / (rows trained on).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import variance
from typing import Literal

Use = Literal["keep", "drop", "down_weight"]
USES: tuple[Use, ...] = ("keep", "drop", "down_weight")
"""What a scan's marks change about the rows of training; see `aimass.trainer.v1.OutlierUse`."""

BASELINE: Use = "keep"
FEWEST_FOLDS, MOST_FOLDS = 3, 20
# One-sided quantiles of Student's t at 97.5 %, for 2 to 19 degrees of freedom: 5 % over two
# comparisons. SciPy has them too, but workers do without.
_T_QUANTILES = (
    4.3026527, 3.1824463, 2.7764451, 2.5705818, 2.4469119, 2.3646243, 2.3060041, 2.2621572,
    2.2281389, 2.2009852, 2.1788128, 2.1603687, 2.1447867, 2.1314495, 2.1199053, 2.1098156,
    2.1009220, 2.0930241,
)  # fmt: skip


@dataclass(frozen=True)
class UseResult:
    """How a use did; see `aimass.trainer.v1.OutlierUseResult`.

    Attributes:
        use: The use.
        scores: The monitored metric on each held-out fold.
        mean: Their mean.
        difference: Mean difference to the baseline; above 0 is better.
        standard_error: Of the difference, corrected.
        lower_bound: The true difference lies above this with 97.5 % confidence.
        upper_bound: It lies below this with the same confidence.
        adopted: Whether the use is adopted.
        reason: Why, one sentence.
    """

    use: Use
    scores: tuple[float, ...]
    mean: float
    difference: float
    standard_error: float
    lower_bound: float
    upper_bound: float
    adopted: bool
    reason: str


@dataclass(frozen=True)
class Comparison:
    """What the comparison found; see `aimass.trainer.v1.OutlierComparison`."""

    adopted: Use
    results: tuple[UseResult, ...]


@dataclass(frozen=True)
class Difference:
    """Mean difference of two models' scores, what it may be off by, and how low it may truly be."""

    mean: float
    standard_error: float
    lower_bound: float

    @property
    def upper_bound(self) -> float:
        """How high it may truly be."""
        return self.mean + (self.mean - self.lower_bound)


def compare(scores: Mapping[Use, Sequence[float]], *, larger_is_better: bool) -> Comparison:
    """Compares uses of a scan with keeping all rows as they are.

    Args:
        scores: The monitored metric by use and fold; the folds in the same order.
        larger_is_better: Whether the metric grows with quality.
    """
    sign = 1 if larger_is_better else -1
    differences = {use: _difference(scores[use], scores[BASELINE], sign) for use in USES}
    clear = [use for use in USES if differences[use].lower_bound > 0]
    adopted = max(clear, key=lambda use: differences[use].mean, default=BASELINE)
    results = [
        UseResult(
            use=use,
            scores=tuple(scores[use]),
            mean=_mean(scores[use]),
            difference=differences[use].mean,
            standard_error=differences[use].standard_error,
            lower_bound=differences[use].lower_bound,
            upper_bound=differences[use].upper_bound,
            adopted=use == adopted,
            reason=_reason(use, adopted, differences),
        )
        for use in USES
    ]
    return Comparison(adopted, tuple(results))


def corrected_difference(differences: Sequence[float]) -> Difference:
    """Returns what the differences of k-fold cross-validation say; see the head of this module.

    Args:
        differences: One for each fold, 3 to 20. Where one is no number nothing is claimed.
    """
    if not all(map(math.isfinite, differences)):
        return Difference(0.0, math.inf, -math.inf)
    folds = len(differences)
    mean = _mean(differences)
    share = 1 / folds + 1 / (folds - 1)
    error = math.sqrt(share * variance(differences, mean))
    return Difference(mean, error, mean - _T_QUANTILES[folds - 3] * error)


def _mean(values: Sequence[float]) -> float:
    """Returns the mean. The sum of losses in a target's own units may be too large for a float."""
    return sum(value / len(values) for value in values)


def _difference(scores: Sequence[float], baseline: Sequence[float], sign: int) -> Difference:
    pairs = zip(scores, baseline, strict=True)
    return corrected_difference([sign * (score - other) for score, other in pairs])


def _reason(use: Use, adopted: Use, differences: Mapping[Use, Difference]) -> str:
    if use == BASELINE:
        if use == adopted:
            return "No other use is clearly better."
        return f"{adopted.upper()} is clearly better."
    if use == adopted:
        return "It is clearly better than KEEP: the lower bound of the difference is above 0."
    if differences[use].lower_bound > 0:
        return f"It is clearly better than KEEP, but {adopted.upper()} by more."
    if differences[use].mean > 0:
        return "It is better than KEEP on average, but that may be chance."
    return "It is no better than KEEP."
