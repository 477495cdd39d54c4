"""Detectors that ask how far a row lies from the centre along the directions of the data."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from services.outlier.domain.detector import Card, Detector, Generator, Matrix, Rows, Scores
from services.outlier.domain.detectors.distances import blocks, bounded

# With more features, directions come from so few rows that their products stay small.
_MANY_FEATURES = 500
_FEW_ROWS = 1000
# Below this share of the largest, a variance is rounding.
_NO_VARIANCE = 1e-8
# The robust covariance needs so many rows for each feature.
_ROWS_PER_FEATURE = 3
_MOST_STEPS = 30


@dataclass(frozen=True)
class FittedDirections:
    """Directions with the weight of a step along each.

    Attributes:
        centre: Subtracted first, shape (features,).
        scale: Divided by next, above 0, shape (features,).
        basis: Orthonormal columns, shape (features, directions).
        weights: Of the squared length along each direction, shape (directions,).
        rest: Weight of the squared length outside all directions.
    """

    centre: Scores
    scale: Scores
    basis: Matrix
    weights: Scores
    rest: float

    def score(self, rows: Rows) -> Scores:
        """Returns the weighted distance from the centre, shape (rows,)."""
        scores = np.empty(rows.count)
        for block in blocks(rows.count, len(self.centre)):
            scaled = bounded((bounded(rows.values[block]) - self.centre) / self.scale)
            scores[block] = np.sqrt(_weighted(scaled, self.basis, self.weights, self.rest))
        return scores


def _weighted(values: Matrix, basis: Matrix, weights: Scores, rest: float) -> Scores:
    """Returns squared lengths, weighted along each direction and outside all of them."""
    along = values @ basis
    squares = np.square(along) @ weights
    if rest:
        # By subtracting vectors, not lengths: where little is left, the digits are not lost.
        outside = values - along @ basis.T
        squares += rest * np.einsum("ij,ij->i", outside, outside)
    return np.asarray(squares)


@dataclass(frozen=True)
class _Spectrum:
    """Variances of the rows along orthonormal directions, descending; none is 0.

    Attributes:
        centre: Mean, shape (features,).
        variances: Shape (directions,): as many as features, or as rows if there are fewer.
        basis: Shape (features, directions).
        rest: Variance in each direction outside of them; 0 where there is none.
    """

    centre: Scores
    variances: Scores
    basis: Matrix
    rest: float

    def squares(self, values: Matrix) -> Scores:
        """Returns squared Mahalanobis distances, shape (rows,)."""
        rest = 1 / self.rest if self.rest else 0.0
        return _weighted(values - self.centre, self.basis, 1 / self.variances, rest)

    @property
    def log_volume(self) -> float:
        """Logarithm of the product of the variances."""
        return float(np.log(self.variances).sum())


def _spectrum(values: Matrix, shrunk: bool) -> _Spectrum:
    """Decomposes the covariance, shrunk as Ledoit and Wolf (2004) do, or as it is."""
    count, features = values.shape
    centre = values.mean(axis=0)
    apart = values - centre
    wide = features > count
    products = (apart @ apart.T if wide else apart.T @ apart) / count
    variances, basis = np.linalg.eigh(products)
    largest = variances[-1]
    if largest <= 0:
        return _Spectrum(centre, np.ones(1), np.eye(features, 1), 1.0 if features > 1 else 0.0)
    kept = slice(None, None, -1)
    variances, basis = variances[kept], basis[:, kept]
    if wide:
        # The rows' own directions, made from those of their products.
        real = variances > _NO_VARIANCE * largest
        variances = variances[real]
        basis = apart.T @ (basis[:, real] / np.sqrt(variances * count))
    least = _NO_VARIANCE * largest
    if not shrunk:
        return _Spectrum(centre, np.maximum(variances, least), basis, least if wide else 0.0)
    part, mean = _shrinkage(apart, variances)
    variances = np.maximum((1 - part) * variances + part * mean, least)
    return _Spectrum(centre, variances, basis, max(part * mean, least) if wide else 0.0)


def _shrinkage(apart: Matrix, variances: Scores) -> tuple[float, float]:
    """Returns how much of the covariance to replace by its mean variance, and that mean."""
    count, features = apart.shape
    mean = float(variances.sum()) / features
    squares = float(np.square(variances).sum())
    delta = squares - features * mean**2
    beta = (float(np.square(np.einsum("ij,ij->i", apart, apart)).mean()) - squares) / count
    return (min(max(beta / delta, 0.0), 1.0) if delta > 0 else 1.0), mean


def _scaled_sample(rows: Rows, generator: Generator) -> tuple[Matrix, Scores, Scores]:
    """Returns standardised rows, few if they have many features, with centre and scale."""
    values = rows.values
    if values.shape[1] > _MANY_FEATURES and len(values) > _FEW_ROWS:
        values = values[np.sort(generator.choice(len(values), _FEW_ROWS, replace=False))]
    values = bounded(values)
    centre = values.mean(axis=0)
    scale = values.std(axis=0)
    # Of a constant feature rounding is left; a step away from it counts as it is.
    scale = np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)
    return (values - centre) / scale, centre, scale


class Pca(Detector):
    """Distance along the principal components, and distance from them.

    Shyu, Chen, Sarinnapakorn, Chang: A novel anomaly detection scheme based on principal component
    classifier (2003). Components that hold `variance` of the variance are standardised; what is
    left of a row is measured as it is (Jackson, Mudholkar: Control procedures for residuals
    associated with principal component analysis (1979)), for small variances are mostly noise.
    Each of the two is divided by its median, and they are added.
    """

    card: ClassVar[Card] = Card(
        fits="Numbers that go together: extreme rows, and rows that break the usual relations.",
        cost="fit O(n d^2), score O(d^2)",
        source="Shyu, Chen, Sarinnapakorn, Chang: A novel anomaly detection scheme based on "
        "principal component classifier (2003)",
        most_rows=100_000,
    )

    variance: float = Field(default=0.5, gt=0, le=1)
    """Share of the variance that the major components hold."""

    def fit(self, rows: Rows, generator: Generator) -> FittedDirections:
        """Finds the principal components of the standardised rows."""
        values, centre, scale = _scaled_sample(rows, generator)
        found = _spectrum(values, shrunk=False)
        held = np.cumsum(found.variances) / found.variances.sum()
        major = min(int(np.searchsorted(held, self.variance)) + 1, len(held))
        basis = np.ascontiguousarray(found.basis[:, :major])
        along = _weighted(values, basis, 1 / found.variances[:major], 0.0)
        weights = 1 / (found.variances[:major] * _typical(along))
        if major == values.shape[1]:
            return FittedDirections(centre, scale, basis, weights, 0.0)
        outside = _typical(_weighted(values, basis, np.zeros(major), 1.0))
        return FittedDirections(centre, scale, basis, weights, 1 / outside)


def _typical(squares: Scores) -> float:
    """Returns what to divide by: the median, which is held away from 0."""
    median, mean = float(np.median(squares)), float(np.mean(squares))
    least = 1e-3 * mean
    return max(median, least) if least > _NO_VARIANCE else 1.0


class Mahalanobis(Detector):
    """Distance from the centre with the covariance taken out, both of the most usual rows.

    Rousseeuw: Least median of squares regression (1984): the rows are sought whose covariance has
    the least determinant, by the concentration steps of Rousseeuw, Van Driessen (1999) from two
    fixed starts, with covariances shrunk as by Ledoit, Wolf: A well-conditioned estimator for
    large-dimensional covariance matrices (2004). With few rows, the covariance of all, shrunk.
    """

    card: ClassVar[Card] = Card(
        fits="Numbers in one cloud that is roughly an ellipse, with many anomalies among them.",
        cost="fit O(n d^2), score O(d^2)",
        source="Rousseeuw: Least median of squares regression (1984)",
        most_rows=50_000,
    )

    support: float = Field(default=0.75, ge=0.5, le=1)
    """Share of the rows that are taken as usual; 1 uses all."""

    def fit(self, rows: Rows, generator: Generator) -> FittedDirections:
        """Finds the centre and covariance of the usual rows."""
        values, centre, scale = _scaled_sample(rows, generator)
        found = self._robust(values)
        rest = 1 / found.rest if found.rest else 0.0
        return FittedDirections(
            centre + found.centre * scale, scale, found.basis, 1 / found.variances, rest
        )

    def _robust(self, values: Matrix) -> _Spectrum:
        count = int(self.support * len(values))
        if count < _ROWS_PER_FEATURE * values.shape[1] or count == len(values):
            return _spectrum(values, shrunk=True)
        middle = np.square(values - np.median(values, axis=0)).sum(axis=1)
        starts = (values, values[np.argpartition(middle, count - 1)[:count]])
        found = [_concentrate(values, start, count) for start in starts]
        return min(found, key=lambda each: each.log_volume)


def _concentrate(values: Matrix, start: Matrix, count: int) -> _Spectrum:
    """Takes the rows nearest to the centre, by the covariance of those before, until they stay."""
    found, before = _spectrum(start, shrunk=True), np.zeros(0, dtype=np.intp)
    for _ in range(_MOST_STEPS):
        near = np.sort(np.argpartition(found.squares(values), count - 1)[:count])
        if np.array_equal(near, before):
            break
        found, before = _spectrum(values[near], shrunk=True), near
    return found
