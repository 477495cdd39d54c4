"""Rows as points by what a layer makes of them, and how well the layer tells them apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from common.data.rows import Values
from services.analyzer.domain.activations.findings import MapMethod
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.representation import Activations

_MOST_POINTS = 1500
_FEWEST_EMBEDDED = 150
_COMPONENTS = 30
_NEIGHBOURS = 10
_ITERATIONS = 400
_PERPLEXITY = 30.0
_SECONDS_A_POINT = 0.003
_MOST_COMPARED = 1000
_TINY = 1e-12


@dataclass(frozen=True)
class Points:
    """Rows as points.

    Attributes:
        method: How they were made.
        rows: Positions of the rows, ascending.
        places: Shape (rows, 2).
    """

    method: MapMethod
    rows: npt.NDArray[np.int64]
    places: npt.NDArray[np.float64]


def points_of(values: Activations, budget: Budget, seed: int) -> Points | None:
    """Returns rows as points: neighbours by t-SNE, or main directions where time is short.

    t-SNE: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008.

    Args:
        values: Of the layer, (rows, units).
        budget: What it may take.
        seed: Of the rows that are drawn.

    Returns:
        None where all rows are the same.
    """
    rows = _drawn(len(values), _MOST_POINTS, seed)
    reduced = _reduced(values[rows])
    if reduced is None:
        return None
    fitting = budget.affords(len(rows), _SECONDS_A_POINT, 0)
    if fitting < min(len(rows), _FEWEST_EMBEDDED) or len(rows) < 2 * _NEIGHBOURS:
        return Points(MapMethod.PCA, rows, reduced[:, :2])
    some = _drawn(len(rows), fitting, seed)
    return Points(MapMethod.TSNE, rows[some], _embedded(reduced[some]))


def agreement(values: Activations, target: Values, is_class: bool, seed: int) -> float | None:
    """Returns how well rows can be told from their 10 nearest neighbours in a layer.

    Args:
        values: Of the layer, (rows, units).
        target: Class or value of each row.
        is_class: Which of both.
        seed: Of the rows that are drawn: at most 1,000.

    Returns:
        Classes: mean share of neighbours of the same class. Values: share of the variance that the
        neighbours' mean explains, at least 0. None with too few rows, or all alike.
    """
    if len(values) <= _NEIGHBOURS + 1 or (target == target[0]).all():
        return None
    rows = _drawn(len(values), _MOST_COMPARED, seed)
    size = float(np.abs(values[rows]).max()) or 1.0
    compared, known = values[rows] / size, target[rows]
    found = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(compared).kneighbors()[1]
    if is_class:
        return float((known[found] == known[:, None]).mean())
    numbers = known.astype(np.float64)
    if not np.isfinite(numbers).all():
        return None
    left = float(((numbers[found].mean(axis=1) - numbers) ** 2).mean())
    return max(0.0, 1 - left / max(float(numbers.var()), _TINY))


def chance_agreement(target: Values, is_class: bool) -> float:
    """Returns what `agreement` is where neighbours tell nothing."""
    if not is_class:
        return 0.0
    shares = np.unique(target, return_counts=True)[1] / len(target)
    return float((shares**2).sum())


def effective_dimensions(values: Activations, seed: int) -> float | None:
    """Returns in how many directions rows differ: the participation ratio of the variances.

    1 where all differ along one line, the number of units where they differ alike in all.
    """
    some = values[_drawn(len(values), _MOST_COMPARED, seed)].astype(np.float64)
    centred = some - some.mean(axis=0)
    size = np.abs(centred).max(initial=0)
    if size <= 0:
        return None
    centred /= size
    is_wide = centred.shape[1] > len(centred)
    products = centred @ centred.T if is_wide else centred.T @ centred
    return float(np.trace(products) ** 2 / (products**2).sum())


def _drawn(count: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _reduced(values: Activations) -> npt.NDArray[np.float64] | None:
    """Returns the main directions, at least 2 of them; None where all rows are the same."""
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    size = np.abs(centred).max(initial=0)
    if size <= 0 or not np.isfinite(size):
        return None
    components = min(_COMPONENTS, *centred.shape)
    found = PCA(components, random_state=0).fit_transform(centred / size)
    return np.column_stack([found, np.zeros((len(found), max(0, 2 - components)))])


def _embedded(reduced: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    perplexity = min(_PERPLEXITY, (len(reduced) - 1) / 3)
    # More threads would wait for each other longer than they compute.
    with threadpool_limits(1):
        embedding = TSNE(
            init="pca", perplexity=perplexity, max_iter=_ITERATIONS, random_state=0, n_jobs=1
        )
        found = embedding.fit_transform(reduced.astype(np.float32))
    return np.asarray(found, np.float64)
