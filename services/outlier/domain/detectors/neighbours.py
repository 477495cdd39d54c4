"""Detectors that ask how near a row's neighbours are."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
from pydantic import Field

from services.outlier.domain.detector import Card, Detector, Generator, Matrix, Rows, Scores
from services.outlier.domain.detectors.distances import (
    blocks,
    bounded,
    distinct_rows,
    nearest,
)

# Keeps a density finite where rows are closer than doubles can tell, as scikit-learn does.
_LEAST_REACH = 1e-10
# Of a row's squared length; a matrix product is hardly more exact.
_ROUNDING = 1e-13


class Aggregation(StrEnum):
    """How the distances to the neighbours become one score."""

    MEAN = "mean"
    MAX = "max"
    MEDIAN = "median"


@dataclass(frozen=True)
class FittedKnn:
    """Rows to measure distances to.

    Attributes:
        fitted: Distinct rows, shape (fitted rows, features).
        neighbours: How many are looked at, fewer than there are fitted rows.
        aggregation: How their distances become a score.
    """

    fitted: Matrix
    neighbours: int
    aggregation: str

    def score(self, rows: Rows) -> Scores:
        """Returns the aggregated distance to the neighbours, shape (rows,)."""
        scores = np.empty(rows.count)
        for block, distances, _ in nearest(rows.values, self.fitted, self.neighbours):
            scores[block] = self._aggregate(distances)
        return scores

    def _aggregate(self, distances: Matrix) -> Scores:
        if self.aggregation == Aggregation.MAX:
            return distances[:, -1]
        if self.aggregation == Aggregation.MEDIAN:
            return np.asarray(np.median(distances, axis=1))
        return np.asarray(distances.mean(axis=1))


class Knn(Detector):
    """Distance to the nearest neighbours.

    Ramaswamy, Rastogi, Shim: Efficient algorithms for mining outliers from large data sets (2000);
    the mean is of Angiulli, Pizzuti: Fast outlier detection in high dimensional spaces (2002).
    Equal rows count once, and a row is not its own neighbour: duplicates do not hide an anomaly.
    """

    card: ClassVar[Card] = Card(
        fits="Rows that are far from all others, alone or in groups of fewer than `neighbours`.",
        cost="fit O(n log n), score O(n d)",
        source="Ramaswamy, Rastogi, Shim: Efficient algorithms for mining outliers from large "
        "data sets (2000)",
        most_rows=20_000,
    )

    neighbours: int = Field(default=20, ge=1, le=1000)
    """How many neighbours are looked at; at most one fewer than there are different rows."""

    aggregation: Aggregation = Aggregation.MEAN
    """How the distances to the neighbours become one score."""

    def fit(self, rows: Rows, generator: Generator) -> FittedKnn:
        """Keeps the rows that differ.

        Raises:
            UnfitError: All rows are equal.
        """
        fitted = distinct_rows(rows.values, generator)
        return FittedKnn(fitted, min(self.neighbours, len(fitted) - 1), str(self.aggregation))


@dataclass(frozen=True)
class FittedSubsamples:
    """Small samples to measure distances to.

    Attributes:
        samples: Shape (rows of a sample, rounds, features): in this order, the nearest row of
            every sample is an element-wise minimum over the first axis.
    """

    samples: Matrix

    def score(self, rows: Rows) -> Scores:
        """Returns the mean distance to the nearest row of the samples, shape (rows,)."""
        sample_rows, rounds, features = self.samples.shape
        flat = self.samples.reshape(-1, features)
        factors, lengths = -2.0 * flat.T, np.einsum("ij,ij->i", flat, flat)
        scores = np.empty(rows.count)
        for block in blocks(rows.count, max(len(flat), features)):
            values = bounded(rows.values[block])
            own = np.einsum("ij,ij->i", values, values)[:, None]
            squares = values @ factors
            squares += lengths
            closest = squares.reshape(-1, sample_rows, rounds).min(axis=1)
            # Adding a row's own length last spares a pass over all distances.
            closest += own
            # What rounding leaves between equal rows would depend on the rows beside them.
            closest[closest < _ROUNDING * own] = 0.0
            scores[block] = np.sqrt(closest, out=closest).mean(axis=1)
        return scores


class SubsampledNeighbours(Detector):
    """Mean distance to the nearest row of many small samples.

    Pang, Ting, Albrecht: LeSiNN: detecting anomalies by identifying least similar nearest
    neighbours (2015). A sample of few rows holds hardly an anomaly, so groups of them stand out.
    """

    card: ClassVar[Card] = Card(
        fits="A good first choice for numbers: rows far from the bulk, and groups of such rows.",
        cost="fit O(1), score O(rounds sample_rows d)",
        source="Pang, Ting, Albrecht: LeSiNN: detecting anomalies by identifying least similar "
        "nearest neighbours (2015)",
        most_rows=1_000_000,
    )

    rounds: int = Field(default=50, ge=1, le=1000)
    """How many samples are drawn."""

    sample_rows: int = Field(default=8, ge=1, le=256)
    """Rows of a sample; at most as many as there are."""

    def fit(self, rows: Rows, generator: Generator) -> FittedSubsamples:
        """Draws the samples."""
        size = min(self.sample_rows, rows.count)
        drawn = [generator.choice(rows.count, size, replace=False) for _ in range(self.rounds)]
        return FittedSubsamples(bounded(rows.values[np.stack(drawn, axis=1)]))


@dataclass(frozen=True)
class FittedLof:
    """Rows with the density around them.

    Attributes:
        fitted: Distinct rows, shape (fitted rows, features).
        reaches: Distance of each to its last neighbour, shape (fitted rows,).
        densities: Local reachability density of each, shape (fitted rows,).
        neighbours: How many are looked at, fewer than there are fitted rows.
    """

    fitted: Matrix
    reaches: Scores
    densities: Scores
    neighbours: int

    def score(self, rows: Rows) -> Scores:
        """Returns how much denser the neighbours lie than the row itself, shape (rows,)."""
        scores = np.empty(rows.count)
        for block, distances, positions in nearest(rows.values, self.fitted, self.neighbours):
            reach = np.maximum(distances, self.reaches[positions]).mean(axis=1)
            scores[block] = self.densities[positions].mean(axis=1) * (reach + _LEAST_REACH)
        return scores


class Lof(Detector):
    """Local outlier factor: the density around a row against that around its neighbours.

    Breunig, Kriegel, Ng, Sander: LOF: identifying density-based local outliers (2000). About 1 in
    the midst of others, larger for a row that its neighbours leave alone. Equal rows count once.
    """

    card: ClassVar[Card] = Card(
        fits="Rows that are odd for their surroundings, where some regions are dense and others "
        "are sparse.",
        cost="fit O(n^2 d), score O(n d)",
        source="Breunig, Kriegel, Ng, Sander: LOF: identifying density-based local outliers (2000)",
        most_rows=20_000,
    )

    neighbours: int = Field(default=20, ge=1, le=1000)
    """How many neighbours are looked at; at most one fewer than there are different rows."""

    def fit(self, rows: Rows, generator: Generator) -> FittedLof:
        """Measures the density around each row.

        Raises:
            UnfitError: All rows are equal.
        """
        fitted = distinct_rows(rows.values, generator)
        count = min(self.neighbours, len(fitted) - 1)
        found = list(nearest(fitted, fitted, count))
        distances = np.concatenate([each for _, each, _ in found])
        positions = np.concatenate([each for _, _, each in found])
        reaches = np.ascontiguousarray(distances[:, -1])
        reach = np.maximum(distances, reaches[positions]).mean(axis=1)
        return FittedLof(fitted, reaches, 1.0 / (reach + _LEAST_REACH), count)
