"""Errors of a regression: where they are, how they are spread."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from services.analyzer.domain.behaviour.observed import Integers, Numbers, Observed
from services.analyzer.domain.behaviour.summary import ResidualBin, ResidualsSummary
from services.analyzer.domain.metrics import mean_interval

QUANTILES = np.linspace(0, 1, 21)
_TENTHS = 10
_LEAST_ROWS = 5
_MOST_POINTS = 3000
_BINS = 60
_CENTRAL = (0.002, 0.998)
_PLOTTED_QUANTILES = 99


@dataclass(frozen=True)
class Residuals:
    """Errors, prediction less truth.

    Attributes:
        summary: What is said of them.
        predictions: Of some rows, to draw, (points,).
        errors: Of these rows.
        edges: Of the histogram's bins; what is outside counts with the outermost.
        counts: Errors in each bin.
        normal: Quantiles of the normal distribution that has their mean and deviation.
        quantiles: The same quantiles of the errors.
    """

    summary: ResidualsSummary
    predictions: Numbers
    errors: Numbers
    edges: Numbers
    counts: Integers
    normal: Numbers
    quantiles: Numbers


def residuals(seen: Observed, seed: int) -> Residuals:
    """Returns the errors of a regression."""
    errors, found = seen.residuals, seen.found.astype(np.float64)
    by_prediction = _tenths(found)
    correlation, p_value = _spread(errors, found, by_prediction)
    skewness, kurtosis = _shape(errors)
    summary = ResidualsSummary(
        tuple(np.quantile(errors, QUANTILES).tolist()),
        skewness,
        kurtosis,
        correlation,
        p_value,
        _binned(errors, found, by_prediction),
        _binned(errors, seen.truth.astype(np.float64), _tenths(seen.truth.astype(np.float64))),
    )
    rows = np.arange(len(errors))
    if len(rows) > _MOST_POINTS:
        generator = np.random.default_rng(seed)
        rows = np.sort(generator.choice(rows, _MOST_POINTS, replace=False))
    edges = _edges(errors)
    levels = np.linspace(0, 1, min(_PLOTTED_QUANTILES, len(errors)) + 2)[1:-1]
    return Residuals(
        summary,
        found[rows],
        errors[rows],
        edges,
        np.histogram(np.clip(errors, edges[0], edges[-1]), edges)[0],
        errors.mean() + errors.std() * stats.norm.ppf(levels),
        np.quantile(errors, levels),
    )


def _tenths(values: Numbers) -> Integers:
    """Returns for each value its tenth; equal values share one."""
    bins = int(np.clip(len(values) // _LEAST_ROWS, 1, _TENTHS))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="right")
    return np.asarray(np.unique(places, return_inverse=True)[1], np.int64)


def _binned(errors: Numbers, values: Numbers, places: Integers) -> tuple[ResidualBin, ...]:
    bins = (places == place for place in range(int(places.max()) + 1))
    return tuple(_bin(errors[inside], values[inside]) for inside in bins)


def _bin(errors: Numbers, values: Numbers) -> ResidualBin:
    bias = mean_interval(errors)
    return ResidualBin(
        float(values.min()),
        float(values.max()),
        len(errors),
        bias.value,
        float(bias.low),
        float(bias.high),
        float(np.abs(errors).mean()),
        float(np.sqrt((errors**2).mean())),
    )


def _spread(errors: Numbers, found: Numbers, places: Integers) -> tuple[float | None, float | None]:
    """Returns how the distance of errors from their usual goes with the prediction.

    The usual error is the median of the tenth, so that a bias does not count as spread.

    Returns:
        The rank correlation, and the p-value of a test whether the tenths differ (Kruskal and
        Wallis): spread may also be largest in the middle.
    """
    medians = np.array([np.median(errors[places == each]) for each in range(places.max() + 1)])
    distances = np.abs(errors - medians[places])
    if len(errors) < 3 or np.ptp(distances) == 0 or np.ptp(found) == 0:
        return None, None
    correlation = float(stats.spearmanr(found, distances).statistic)
    groups = [distances[places == each] for each in range(places.max() + 1)]
    return correlation, float(stats.kruskal(*groups).pvalue) if len(groups) > 1 else 1.0


def _shape(errors: Numbers) -> tuple[float | None, float | None]:
    deviation = float(errors.std())
    if deviation <= 1e-12 * float(np.abs(errors).max(initial=0)):
        return None, None
    scaled = (errors - errors.mean()) / deviation
    return float((scaled**3).mean()), float((scaled**4).mean() - 3)


def _edges(errors: Numbers) -> Numbers:
    low, high = np.quantile(errors, _CENTRAL)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1)
