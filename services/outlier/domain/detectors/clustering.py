"""Detectors that group rows and ask how far a row lies from the groups."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.cluster import HDBSCAN
from sklearn.cluster import KMeans as Means

from services.outlier.domain.detector import (
    Card,
    Detector,
    Generator,
    Matrix,
    Rows,
    Scores,
    UnfitError,
)
from services.outlier.domain.detectors.distances import (
    blocks,
    bounded,
    distinct_rows,
    knee,
    last_distances,
    nearest,
    squared_distances,
)

Labels = npt.NDArray[np.intp]

# Fewer different rows than that for each cluster make no clusters.
_ROWS_PER_CLUSTER = 25
# How much the spread of a cluster of even size leans on that of all: so many times its own.
_LEAN = 0.25
# A cluster's variance in a feature is at least this share of the mean variance of the features.
_LEAST_VARIANCE = 1e-3
# Where nothing is asked for, clusters by density have no fewer rows.
_LEAST_CLUSTER = 20


@dataclass(frozen=True)
class _Clusters:
    """Clusters of the fitted rows.

    Attributes:
        centres: Shape (clusters, features).
        labels: Cluster of each row, shape (rows,).
        sizes: Rows of each cluster, shape (clusters,).
    """

    centres: Matrix
    labels: Labels
    sizes: npt.NDArray[np.int64]


def _find_clusters(values: Matrix, count: int, generator: Generator) -> _Clusters:
    """Runs k-means with no more clusters than the rows that differ allow."""
    most = len(distinct_rows(values, generator)) // _ROWS_PER_CLUSTER
    count = max(1, min(count, most))
    seed = int(generator.integers(2**31))
    means = Means(count, n_init=3, random_state=seed).fit(values)
    labels = means.labels_.astype(np.intp)
    return _Clusters(means.cluster_centers_, labels, np.bincount(labels, minlength=count))


def _lengths(apart: Matrix) -> Scores:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", apart, apart)))


@dataclass(frozen=True)
class FittedKMeans:
    """Clusters with their spread.

    Attributes:
        centres: Shape (clusters, features).
        spreads: Deviation of each cluster in each feature, above 0, shape (clusters, features).
    """

    centres: Matrix
    spreads: Matrix

    def score(self, rows: Rows) -> Scores:
        """Returns the distance from the nearest centre, in spreads of its cluster."""
        scores = np.empty(rows.count)
        for block in blocks(rows.count, max(self.centres.shape)):
            values = bounded(rows.values[block])
            own = squared_distances(values, self.centres).argmin(axis=1)
            scores[block] = _lengths((values - self.centres[own]) / self.spreads[own])
        return scores


class KMeans(Detector):
    """Distance from the nearest cluster's centre, measured in that cluster's own spread.

    Lloyd: Least squares quantization in PCM (1957, 1982). Groups of few rows are no clusters, for
    they may be the anomalies that are sought: their rows are measured from the others' centres.
    """

    card: ClassVar[Card] = Card(
        fits="Rows that gather around a few centres, and anomalies alone or in small groups.",
        cost="fit O(n clusters d), score O(clusters d)",
        source="Lloyd: Least squares quantization in PCM (1982)",
        most_rows=50_000,
    )

    clusters: int = Field(default=8, ge=1, le=1000)
    """Most clusters; at most one for every 25 rows that differ."""

    least_size: float = Field(default=0.65, ge=0, le=1)
    """Groups of fewer rows than this share of an even one are no clusters; 0 keeps all."""

    def fit(self, rows: Rows, generator: Generator) -> FittedKMeans:
        """Finds the clusters.

        Raises:
            UnfitError: All rows are equal.
        """
        values = bounded(rows.values)
        found = _find_clusters(values, self.clusters, generator)
        kept = found.sizes >= self.least_size * found.sizes.mean()
        return FittedKMeans(found.centres[kept], _spreads(values, found)[kept])


def _spreads(values: Matrix, found: _Clusters) -> Matrix:
    """Returns each cluster's deviations; those of small clusters lean on those of all."""
    apart = np.square(values - found.centres[found.labels])
    sums = np.stack([apart[found.labels == each].sum(axis=0) for each in range(len(found.sizes))])
    even = _LEAN * found.sizes.mean()
    variances = (sums + even * apart.mean(axis=0)) / (found.sizes[:, None] + even)
    least = _LEAST_VARIANCE * float(values.var(axis=0).mean())
    return np.asarray(np.sqrt(np.maximum(variances, max(least, np.finfo(np.float64).tiny))))


@dataclass(frozen=True)
class FittedCblof:
    """Large clusters.

    Attributes:
        centres: Shape (large clusters, features).
    """

    centres: Matrix

    def score(self, rows: Rows) -> Scores:
        """Returns the distance from the nearest large cluster's centre, shape (rows,).

        For a row of a large cluster that is its own, as published.
        """
        scores = np.empty(rows.count)
        for block in blocks(rows.count, max(self.centres.shape)):
            values = bounded(rows.values[block])
            near = squared_distances(values, self.centres).argmin(axis=1)
            scores[block] = _lengths(values - self.centres[near])
        return scores


class Cblof(Detector):
    """Cluster-based local outlier factor: distance from the nearest large cluster's centre.

    He, Xu, Deng: Discovering cluster-based local outliers (2003), without its weight of a
    cluster's size, which makes rows of small clusters usual. Where no clusters are larger than
    others, all count as large.
    """

    card: ClassVar[Card] = Card(
        fits="Rows that gather around a few centres, and anomalies that form small groups.",
        cost="fit O(n clusters d), score O(clusters d)",
        source="He, Xu, Deng: Discovering cluster-based local outliers (2003)",
        most_rows=50_000,
    )

    clusters: int = Field(default=8, ge=1, le=1000)
    """Most clusters; at most one for every 25 rows that differ."""

    alpha: float = Field(default=0.9, gt=0, lt=1)
    """Large clusters together hold at least this share of the rows."""

    beta: float = Field(default=5.0, gt=1, allow_inf_nan=False)
    """The smallest large cluster has at least so many times the rows of the largest small one."""

    def fit(self, rows: Rows, generator: Generator) -> FittedCblof:
        """Finds the clusters and tells large from small.

        Raises:
            UnfitError: All rows are equal.
        """
        found = _find_clusters(bounded(rows.values), self.clusters, generator)
        order = np.argsort(-found.sizes, kind="stable")
        large = order[: self._count_large(found.sizes[order])]
        return FittedCblof(found.centres[large])

    def _count_large(self, sizes: npt.NDArray[np.int64]) -> int:
        """Returns how many of the clusters, by descending size, are large."""
        enough = np.cumsum(sizes)[:-1] >= self.alpha * sizes.sum()
        drop = sizes[:-1] >= self.beta * sizes[1:]
        for split in (enough & drop, enough, drop):
            if split.any():
                return int(split.argmax()) + 1
        return len(sizes)


@dataclass(frozen=True)
class FittedDbscan:
    """The rows in the midst of clusters.

    Attributes:
        core: Distinct core rows, two or more, shape (core rows, features).
        eps: How near neighbours are, above 0.
    """

    core: Matrix
    eps: float

    def score(self, rows: Rows) -> Scores:
        """Returns the distance from the nearest other core row, in units of eps."""
        scores = np.empty(rows.count)
        for block, distances, _ in nearest(rows.values, self.core, 1):
            scores[block] = distances[:, 0] / self.eps
        return scores


class Dbscan(Detector):
    """Distance from the nearest core row of density-based clusters.

    Ester, Kriegel, Sander, Xu: A density-based algorithm for discovering clusters in large spatial
    databases with noise (1996). Above 1, a row is noise. Equal rows count once.
    """

    card: ClassVar[Card] = Card(
        fits="Clusters of any shape and of like density, with anomalies in the space between.",
        cost="fit O(n^2 d), score O(n d)",
        source="Ester, Kriegel, Sander, Xu: A density-based algorithm for discovering clusters in "
        "large spatial databases with noise (1996)",
        most_rows=20_000,
    )

    neighbours: int = Field(default=20, ge=1, le=1000)
    """A core row has so many others within eps; at most one fewer than there are different rows."""

    eps: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How near they are; by default the knee of the sorted distances to the last of them."""

    def fit(self, rows: Rows, generator: Generator) -> FittedDbscan:
        """Finds the core rows.

        Raises:
            UnfitError: All rows are equal, or hardly any has neighbours within eps.
        """
        fitted = distinct_rows(rows.values, generator)
        count = min(self.neighbours, len(fitted) - 1)
        reaches = last_distances(fitted, count)
        eps = self.eps or knee(np.sort(reaches))
        core = fitted[reaches <= eps]
        if len(core) < 2:
            raise UnfitError(
                f"fewer than two rows have {count} others within {eps:.4g}; raise eps, or leave "
                "it out to have it chosen"
            )
        return FittedDbscan(core, max(eps, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class FittedHdbscan:
    """Rows with their clusters.

    Attributes:
        fitted: Distinct rows, shape (fitted rows, features).
        neighbours: How many make a row's density, fewer than there are fitted rows.
        clustered: Rows that belong to a cluster, two or more, shape (clustered rows, features).
        reaches: Distance of each clustered row to the last of its neighbours.
        scales: Usual distance of that kind in the cluster of each clustered row, above 0.
    """

    fitted: Matrix
    neighbours: int
    clustered: Matrix
    reaches: Scores
    scales: Scores

    def score(self, rows: Rows) -> Scores:
        """Returns the reach needed to join the nearest cluster, in units of that cluster's own."""
        scores = np.empty(rows.count)
        for block, distances, _ in nearest(rows.values, self.fitted, self.neighbours):
            scores[block] = distances[:, -1]
        for block, distances, positions in nearest(rows.values, self.clustered, 1):
            near = positions[:, 0]
            reach = np.maximum(distances[:, 0], self.reaches[near])
            scores[block] = np.maximum(scores[block], reach) / self.scales[near]
        return scores


class Hdbscan(Detector):
    """How sparse a row's surroundings are against the edge of the nearest cluster.

    Campello, Moulavi, Zimek, Sander: Hierarchical density estimates for data clustering,
    visualization, and outlier detection (2015). Ranks rows of a
    cluster as its GLOSH does, but also tells far rows from farther ones. Equal rows count once.
    """

    card: ClassVar[Card] = Card(
        fits="Clusters of any shape and of different density, with anomalies near or far.",
        cost="fit O(n^2 d), score O(n d)",
        source="Campello, Moulavi, Zimek, Sander: Hierarchical density estimates for data "
        "clustering, visualization, and outlier detection (2015)",
        most_rows=5_000,
    )

    neighbours: int = Field(default=10, ge=1, le=1000)
    """How many make a row's density; at most one fewer than there are different rows."""

    cluster_rows: int | None = Field(default=None, ge=2, le=100_000)
    """Groups of fewer rows are no clusters, at most a quarter of all; by default a twentieth."""

    def fit(self, rows: Rows, generator: Generator) -> FittedHdbscan:
        """Finds the clusters; where there is none, all rows are one.

        Raises:
            UnfitError: All rows are equal.
        """
        fitted = distinct_rows(rows.values, generator)
        count = min(self.neighbours, len(fitted) - 1)
        reaches = last_distances(fitted, count)
        labels = _density_clusters(fitted, count, self.cluster_rows)
        inside = labels >= 0
        labels = labels[inside]
        scales = np.array([_scale(reaches[inside][labels == each]) for each in np.unique(labels)])
        return FittedHdbscan(fitted, count, fitted[inside], reaches[inside], scales[labels])


def _density_clusters(fitted: Matrix, neighbours: int, cluster_rows: int | None) -> Labels:
    """Returns each row's cluster, from 0 without gaps, or -1 for noise."""
    wanted = cluster_rows or max(_LEAST_CLUSTER, len(fitted) // 20)
    size = max(2, min(wanted, len(fitted) // 4))
    # A tree, since without one all distances are held in memory.
    search = HDBSCAN(
        min_cluster_size=size, min_samples=neighbours + 1, algorithm="kd_tree", copy=True
    )
    labels = np.asarray(search.fit(fitted).labels_, dtype=np.intp)
    return labels if (labels >= 0).any() else np.zeros_like(labels)


def _scale(reaches: Scores) -> float:
    """Returns a cluster's reach at its edge; the least, as published, is one pair's chance."""
    return max(float(np.quantile(reaches, 0.9)), np.finfo(np.float64).tiny)
