"""Order of labels by the similarity of their rows, for accumulated local effects."""

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values

_MOST_COLUMNS = 50
_STEPS = 50

Places = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


def similarity_order(raw: RawRows, name: str, codes: Values) -> npt.NDArray[np.int64]:
    """Returns positions of labels so that neighbours have rows with like values elsewhere.

    The distance of two labels is the sum over the other columns of the largest difference of their
    distribution functions (numbers) or of half the differences of their shares (labels); they are
    put on a line by classical scaling. Apley and Zhu, 2020.

    Args:
        raw: The rows.
        name: The column of the labels.
        codes: The labels' codes, ascending.
    """
    distance = np.zeros((len(codes), len(codes)))
    groups = np.searchsorted(codes, raw.columns[name]).astype(np.int64)
    others = [other for other in raw.columns if other != name][:_MOST_COLUMNS]
    for other in others:
        distance += _distances(raw.columns[other], other in raw.labels, groups, len(codes))
    if not distance.any():
        return np.arange(len(codes))
    return np.argsort(_on_a_line(distance), kind="stable")


def _distances(values: Values, is_labelled: bool, groups: Places, count: int) -> Matrix:
    if values.ndim > 1 or values.dtype.kind not in "fiub":
        return np.zeros((count, count))
    if is_labelled:
        # Of a hundred thousand labels only those that occur are counted.
        shares = _shares(np.unique(values, return_inverse=True)[1], groups, count)
        return np.asarray(np.abs(shares[:, None] - shares[None]).sum(axis=2) / 2)
    return _of_numbers(values.astype(np.float64), groups, count)


def _of_numbers(numbers: Matrix, groups: Places, count: int) -> Matrix:
    known = np.isfinite(numbers)
    if not known.any():
        return np.zeros((count, count))
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, _STEPS)))
    steps = np.searchsorted(edges, numbers[known]).astype(np.int64)
    functions = np.cumsum(_shares(steps, groups[known], count), axis=1)
    return np.asarray(np.abs(functions[:, None] - functions[None]).max(axis=2))


def _shares(steps: Places, groups: Places, count: int) -> Matrix:
    """Returns how the rows of each group are spread over steps, (groups, steps)."""
    width = int(steps.max()) + 1
    counts = np.bincount(groups * width + steps, minlength=count * width).reshape(count, width)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _on_a_line(distance: Matrix) -> Matrix:
    """Returns coordinates by classical scaling, the first label on the lower side."""
    squares = distance**2
    middle = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-middle / 2)
    line = vectors[:, np.argmax(values)]
    return np.asarray(-line if line[0] > line[-1] else line)
