"""Detectors that estimate how densely rows lie and ask where there are few."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.mixture import GaussianMixture as Mixture

from services.outlier.domain.detector import Card, Detector, Generator, Matrix, Rows, Scores
from services.outlier.domain.detectors.distances import (
    blocks,
    bounded,
    distinct_rows,
    squared_distances,
)

_LOG_TWO_PI = float(np.log(2 * np.pi))
# A normal distribution's middle half is so many deviations wide.
_NORMAL_QUARTILES = 1.349
# With more features, or too few rows for them, covariances are diagonal.
_FULL_FEATURES = 64
_FULL_ROWS = 2
# Added to variances, as a share of the mean variance.
_REGULAR = 1e-3
# Bins lie within so many interquartile ranges of the quartiles.
_BIN_REACH = 20.0
# Added to a bin's height, of which the highest is 1, so that no feature alone decides.
_LEAST_HEIGHT = 0.1
# What a number outside of the bins adds at least: as much as one in an empty bin.
_BEYOND = -float(np.log(_LEAST_HEIGHT))


@dataclass(frozen=True)
class FittedKde:
    """Rows with a Gaussian around each.

    Attributes:
        fitted: Distinct rows, shape (fitted rows, features).
        bandwidth: Deviation of the Gaussians, above 0.
    """

    fitted: Matrix
    bandwidth: float

    def score(self, rows: Rows) -> Scores:
        """Returns the negative log density, shape (rows,)."""
        scores = np.empty(rows.count)
        features = self.fitted.shape[1]
        normal = features * (_LOG_TWO_PI / 2 + np.log(self.bandwidth))
        for block in blocks(rows.count, max(self.fitted.shape)):
            scores[block] = normal - self._log_kernels(bounded(rows.values[block]))
        return scores

    def _log_kernels(self, values: Matrix) -> Scores:
        """Returns the logarithm of the mean kernel over the other rows."""
        squares = squared_distances(values, self.fitted)
        near = squares.argmin(axis=1)
        itself = (values == self.fitted[near]).all(axis=1)
        squares[itself, near[itself]] = np.inf
        least = squares.min(axis=1)
        squares -= least[:, None]
        squares *= -0.5 / self.bandwidth**2
        sums = np.exp(squares, out=squares).sum(axis=1)
        mean = np.log(sums / (len(self.fitted) - itself))
        return np.asarray(mean - least * 0.5 / self.bandwidth**2)


class Kde(Detector):
    """Negative logarithm of the kernel density estimate.

    Parzen: On estimation of a probability density function and mode (1962). A row's own kernel is
    left out, so that fitted rows do not look denser than new ones; equal rows count once.
    """

    card: ClassVar[Card] = Card(
        fits="Few features, regions of any shape.",
        cost="fit O(n log n), score O(n d)",
        source="Parzen: On estimation of a probability density function and mode (1962)",
        most_rows=5_000,
    )

    bandwidth: float | None = Field(default=None, ge=1e-6, le=1e6)
    """Deviation of the Gaussians; by default of Scott's rule (1992)."""

    def fit(self, rows: Rows, generator: Generator) -> FittedKde:
        """Keeps the rows that differ.

        Raises:
            UnfitError: All rows are equal.
        """
        fitted = distinct_rows(rows.values, generator)
        return FittedKde(fitted, self.bandwidth or _scott(fitted))


def _scott(fitted: Matrix) -> float:
    """Returns the bandwidth of Scott's rule for the typical spread of a feature that varies."""
    count, features = fitted.shape
    deviations = fitted.std(axis=0)
    low, high = np.percentile(fitted, [25, 75], axis=0)
    quartiles = (high - low) / _NORMAL_QUARTILES
    # As Silverman (1986) does, so that far rows do not widen it.
    spreads = np.where(quartiles > 0, np.minimum(deviations, quartiles), deviations)
    return float(np.median(spreads[spreads > 0]) * count ** (-1 / (features + 4)))


@dataclass(frozen=True)
class FittedMixture:
    """Gaussians.

    Attributes:
        log_weights: Of each component, shape (components,).
        means: Shape (components, features).
        factors: Cholesky factors of the inverse covariances, shape (components, features,
            features), or deviations inverted, shape (components, features).
    """

    log_weights: Scores
    means: Matrix
    factors: Matrix

    def score(self, rows: Rows) -> Scores:
        """Returns the negative log density, shape (rows,)."""
        scores = np.empty(rows.count)
        for block in blocks(rows.count, self.means.shape[1]):
            values = bounded(rows.values[block])
            logs = np.stack([self._log(values, each) for each in range(len(self.means))])
            largest = logs.max(axis=0)
            scores[block] = -largest - np.log(np.exp(logs - largest).sum(axis=0))
        return scores

    def _log(self, values: Matrix, component: int) -> Scores:
        """Returns the log of a component's density times its weight."""
        factor = self.factors[component]
        apart = values - self.means[component]
        full = factor.ndim == 2
        apart = apart @ factor if full else apart * factor
        squares = np.einsum("ij,ij->i", apart, apart)
        volume = np.log(np.diagonal(factor) if full else factor).sum()
        constant = self.log_weights[component] + volume - values.shape[1] * _LOG_TWO_PI / 2
        return np.asarray(constant - squares / 2)


class GaussianMixture(Detector):
    """Negative log density of a mixture of Gaussians.

    Dempster, Laird, Rubin: Maximum likelihood from incomplete data via the EM algorithm (1977);
    components by the criterion of Schwarz: Estimating the dimension of a model (1978). Components
    of few rows may be the anomalies that are sought, and are left out.
    """

    card: ClassVar[Card] = Card(
        fits="Numbers in a few clouds that are roughly ellipses.",
        cost="fit O(n components d^2), score O(components d^2)",
        source="Dempster, Laird, Rubin: Maximum likelihood from incomplete data via the EM "
        "algorithm (1977)",
        most_rows=20_000,
    )

    components: int | None = Field(default=None, ge=1, le=100)
    """How many Gaussians, at most one for each row; by default of the least BIC."""

    most_components: int = Field(default=4, ge=1, le=100)
    """The most that are tried where `components` is not given."""

    least_weight: float = Field(default=0.1, ge=0, lt=0.5)
    """Components with a smaller share of the rows are left out, if others remain."""

    def fit(self, rows: Rows, generator: Generator) -> FittedMixture:
        """Fits mixtures and takes the best."""
        values = bounded(rows.values)
        counts = range(1, self.most_components + 1) if self.components is None else ()
        tried = sorted({min(each, rows.count) for each in counts or (self.components or 1,)})
        seed = int(generator.integers(2**31))
        found = [_fit_mixture(values, each, seed) for each in tried]
        best = found[0] if len(found) == 1 else min(found, key=lambda each: each.bic(values))
        kept = best.weights_ >= min(self.least_weight, best.weights_.max())
        factors = best.precisions_cholesky_[kept]
        return FittedMixture(np.log(best.weights_[kept]), best.means_[kept], factors)


def _fit_mixture(values: Matrix, components: int, seed: int) -> Mixture:
    count, features = values.shape
    full = features <= _FULL_FEATURES and count >= _FULL_ROWS * features * components
    variance = float(values.var(axis=0).mean())
    mixture = Mixture(
        components,
        covariance_type="full" if full else "diag",
        reg_covar=_REGULAR * (variance or 1.0),
        init_params="k-means++",
        max_iter=50,
        random_state=seed,
    )
    return mixture.fit(values)


@dataclass(frozen=True)
class FittedHbos:
    """A histogram of each feature.

    Attributes:
        low: Where the first bin begins, shape (features,).
        width: Of each feature's bins, above 0, shape (features,).
        bins: How many each feature has, shape (features,).
        oddness: What a number in each bin adds, features one after another, shape (all bins,).
    """

    low: Scores
    width: Scores
    bins: npt.NDArray[np.int64]
    oddness: Scores

    def score(self, rows: Rows) -> Scores:
        """Returns the sum over the features of negative log frequencies, shape (rows,)."""
        first = np.cumsum(self.bins) - self.bins
        scores = np.empty(rows.count)
        for block in blocks(rows.count, len(self.bins)):
            places = (bounded(rows.values[block]) - self.low) / self.width
            # The upper end belongs to the last bin.
            out = np.maximum(np.maximum(-places, places - self.bins), 0.0)
            inside = np.clip(places, 0, self.bins - 1).astype(np.intp)
            odd = np.where(out > 0, _BEYOND, self.oddness[inside + first])
            scores[block] = (odd + np.log1p(out)).sum(axis=1)
        return scores


class Hbos(Detector):
    """Sum over the features of how rare a number's bin of the histogram is.

    Goldstein, Dengel: Histogram-based outlier score (HBOS): a fast unsupervised anomaly detection
    algorithm (2012). Bins reach 20 interquartile ranges at most, so that a far number does not
    leave all others in one bin; numbers outside add more the farther they are.
    """

    card: ClassVar[Card] = Card(
        fits="Rows with rare numbers, also between usual ones; many rows and many features.",
        cost="fit O(n log n d), score O(d)",
        source="Goldstein, Dengel: Histogram-based outlier score (HBOS): a fast unsupervised "
        "anomaly detection algorithm (2012)",
        most_rows=200_000,
    )

    bins: int | None = Field(default=None, ge=2, le=10_000)
    """Bins of each feature; by default of Sturges' rule (1926)."""

    def fit(self, rows: Rows, generator: Generator) -> FittedHbos:
        """Counts the rows in each bin of each feature."""
        found = [_histogram(np.sort(bounded(column)), self.bins) for column in rows.values.T]
        low, width, counts = zip(*found, strict=True)
        odd = [-np.log(each / each.max() + _LEAST_HEIGHT) for each in counts]
        return FittedHbos(
            np.array(low),
            np.array(width),
            np.array([len(each) for each in counts]),
            np.concatenate(odd),
        )


def _histogram(column: Scores, bins: int | None) -> tuple[float, float, npt.NDArray[np.int64]]:
    """Returns where the bins of a sorted feature begin, their width, and the rows in each."""
    quarter, three = np.percentile(column, [25, 75])
    reach = _BIN_REACH * (three - quarter)
    low, high = column[0], column[-1]
    if reach > 0:
        low, high = max(low, quarter - reach), min(high, three + reach)
    count = len(column)
    if bins is None:
        bins = int(np.ceil(np.log2(count))) + 1
    width = (high - low) / bins
    if width <= np.spacing(max(abs(low), abs(high))):
        # One narrow bin about a constant: whatever differs is outside.
        width = 1e-3 * max(1.0, abs(low))
        return low - width / 2, width, np.array([count])
    places = np.floor((column[(column >= low) & (column <= high)] - low) / width)
    counts = np.bincount(np.minimum(places, bins - 1).astype(np.intp), minlength=bins)
    return float(low), float(width), counts
