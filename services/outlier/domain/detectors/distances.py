"""Distances between rows: exact, in blocks, and no row is its own neighbour."""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

from services.outlier.domain.detector import Generator, Matrix, Scores, UnfitError

Positions = npt.NDArray[np.intp]
Find = Callable[[Matrix], Positions]

# Sums of squares of so large numbers, over 10,000 features and weighted, are finite.
LARGEST = 1e100
# Numbers in the largest temporary array of a block: 2 MB, which stay in the processor's cache.
_BLOCK_CELLS = 250_000
_BLOCK_ROWS = 64
# Rows that are kept have at most so many numbers: 64 MB.
_MOST_CELLS = 8_000_000
# Where trees beat the matrix product: few features, and enough rows to pay for building one.
_TREE_FEATURES = 8
_TREE_ROWS = 500


def bounded(values: Matrix) -> Matrix:
    """Returns numbers whose squares are finite: too large ones brought near, too small ones 0."""
    values = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
    return np.where(np.abs(values) < 1 / LARGEST, 0.0, values)


def blocks(count: int, width: int) -> Iterator[slice]:
    """Yields rows in blocks whose temporary arrays, `width` numbers a row, stay small."""
    size = max(_BLOCK_ROWS, _BLOCK_CELLS // max(width, 1))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def distinct_rows(values: Matrix, generator: Generator) -> Matrix:
    """Returns each different row once, as many as fit into memory, in the order they came.

    Args:
        values: Shape (rows, features).
        generator: Chooses the rows that are kept where there are too many.

    Raises:
        UnfitError: There is only one.
    """
    values = bounded(values)
    most = max(_MOST_CELLS // max(values.shape[1], 1), 2)
    first = _first_of_equal(values)
    if len(first) < 2:
        raise UnfitError(
            "all rows are equal, so that none is near or far; give rows that differ, or a "
            "detector of frequencies such as hbos"
        )
    if len(first) > most:
        first = generator.choice(first, most, replace=False)
    return np.ascontiguousarray(values[np.sort(first)])


def _first_of_equal(values: Matrix) -> Positions:
    """Returns the position of each different row's first occurrence.

    By digests: wide rows are many times slower to sort, and digests take little memory.
    """
    first: dict[bytes, int] = {}
    for position, row in enumerate(np.ascontiguousarray(values)):
        first.setdefault(hashlib.blake2b(row, digest_size=16).digest(), position)
    return np.fromiter(first.values(), dtype=np.intp)


def squared_distances(values: Matrix, to: Matrix) -> Matrix:
    """Returns squared Euclidean distances by a matrix product, shape (rows, rows of `to`).

    Rounding leaves about 1e-16 of the squared length of a row.
    """
    distances = values @ (-2.0 * to.T)
    distances += np.einsum("ij,ij->i", values, values)[:, None]
    distances += np.einsum("ij,ij->i", to, to)
    return np.maximum(distances, 0.0, out=distances)


def nearest(
    values: Matrix, fitted: Matrix, count: int
) -> Iterator[tuple[slice, Matrix, Positions]]:
    """Finds the nearest fitted rows, a block of rows at a time.

    A fitted row that equals the row itself is passed over.

    Args:
        values: Shape (rows, features).
        fitted: Distinct, bounded, shape (fitted rows, features).
        count: How many are wanted, fewer than there are fitted rows.

    Yields:
        Which rows; distances, ascending, and positions among the fitted, both (rows, count).
    """
    find = _finder(fitted, count + 1, len(values))
    for block in blocks(len(values), max(values.shape[1], count + 1)):
        some = bounded(values[block])
        yield block, *_others(some, fitted, find(some))


def last_distances(fitted: Matrix, count: int) -> Scores:
    """Returns each row's distance to the last of its neighbours."""
    return np.concatenate([distances[:, -1] for _, distances, _ in nearest(fitted, fitted, count)])


def knee(ascending: Scores) -> float:
    """Returns where the logarithm of the curve turns up, but no less than its middle.

    The point farthest below the chord, as in Satopaa et al.: Finding a kneedle in a haystack
    (2011); of the logarithm, so that the farthest row alone does not decide.
    """
    middle = float(ascending[len(ascending) // 2])
    curve = np.log(np.maximum(ascending, max(1e-3 * middle, np.finfo(np.float64).tiny)))
    rise = curve[-1] - curve[0]
    if rise <= 0:
        return middle
    below = np.linspace(0, 1, len(curve)) - (curve - curve[0]) / rise
    return max(middle, float(ascending[below.argmax()]))


def _finder(fitted: Matrix, count: int, rows: int) -> Find:
    """Returns what finds candidates, by the method that is quicker for so many rows."""
    if fitted.shape[1] <= _TREE_FEATURES and rows >= _TREE_ROWS:
        tree = cKDTree(fitted)
        return lambda values: np.asarray(tree.query(values, count, workers=2)[1], dtype=np.intp)
    # Near the origin the matrix product loses the fewest digits.
    centre = np.median(fitted, axis=0)
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(fitted - centre)
    return lambda values: np.asarray(
        index.kneighbors(values - centre, return_distance=False), dtype=np.intp
    )


def _others(values: Matrix, fitted: Matrix, found: Positions) -> tuple[Matrix, Positions]:
    """Measures candidates exactly and leaves one out: the row itself, or else the farthest."""
    squares = np.empty(found.shape)
    for rank in range(found.shape[1]):
        apart = values - fitted[found[:, rank]]
        squares[:, rank] = np.einsum("ij,ij->i", apart, apart)
    order = np.argsort(squares, axis=1, kind="stable")
    itself = np.take_along_axis(squares, order[:, :1], axis=1) == 0
    kept = np.where(itself, order[:, 1:], order[:, :-1])
    squares = np.take_along_axis(squares, kept, axis=1)
    return np.sqrt(squares), np.take_along_axis(found, kept, axis=1)
