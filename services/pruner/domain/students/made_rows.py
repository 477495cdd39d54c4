"""Rows such as a model meets, of all types of columns, made of those it has learned from."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from services.pruner.domain.trees.likely_rows import Matrix, likely_rows

_CODES = "iu"


def made_rows(rows: RawRows, count: int, seed: int, piece: int) -> Iterator[RawRows]:
    """Yields pieces of rows that are made of others; see `likely_rows`.

    Args:
        rows: Numbers, and codes of labels with -1 for missing.
        count: Of rows to make.
        seed: Of what is drawn.
        piece: Rows of a piece, at most.
    """
    features = _matrix(rows)
    left = count
    while left > 0:
        found = likely_rows(features, seed + left)  # each time of other parents
        made = found.features[len(found.parents) :][:left]
        left -= len(made)
        yield from _rows(made, rows).parts(piece)


def _matrix(rows: RawRows) -> Matrix:
    """Returns rows as numbers, NaN for missing ones, shape (rows, columns)."""
    return np.column_stack([_numbers(each) for each in rows.columns.values()])


def _numbers(values: Values) -> npt.NDArray[np.float64]:
    numbers = values.astype(np.float64)
    if values.dtype.kind in _CODES:
        numbers[numbers < 0] = np.nan
    return numbers


def _rows(matrix: Matrix, like: RawRows) -> RawRows:
    columns = {
        name: _values(matrix[:, place], each)
        for place, (name, each) in enumerate(like.columns.items())
    }
    return RawRows(columns, like.labels)


def _values(numbers: npt.NDArray[np.float64], like: Values) -> Values:
    if like.dtype.kind in _CODES:
        numbers = np.where(np.isnan(numbers), -1, numbers)
    return numbers.astype(like.dtype)
