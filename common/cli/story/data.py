"""The story's table: real measurements, some of which are spoilt on purpose, as it happens in life.

Breast Cancer Wisconsin (Diagnostic), by W. Wolberg, O. Mangasarian, N. Street and W. Street (1995,
CC BY 4.0): ten measures of the nuclei of cells in 569 pictures, each as mean, standard error and
mean of the three largest. `python -m common.cli.story.data` writes it anew, spoilt rows included.
"""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

EXAMPLES = Path(__file__).parents[3] / "examples"
TABLE = EXAMPLES / "cells.csv"

_SEED = 20
_ROWS = 569
_EACH = 12
_MEASURES = 10
_LENGTHS, _AREA = (0, 2), 3
_UNIT = 10.0
_DIGITS = 6

Labels: TypeAlias = npt.NDArray[np.int64]
Matrix: TypeAlias = npt.NDArray[np.float64]
_Spoil: TypeAlias = Callable[[Matrix, Matrix], Matrix]


def planted() -> dict[str, tuple[int, ...]]:
    """Returns which rows of the table are spoilt, from 0, by what happened to them."""
    chosen = np.random.default_rng(_SEED).choice(_ROWS, (len(_HAPPENED), _EACH), replace=False)
    return {
        what: tuple(sorted(rows.tolist())) for what, rows in zip(_HAPPENED, chosen, strict=True)
    }


def spoilt(table: Matrix, labels: Labels) -> Matrix:
    """Returns the table with its spoilt rows.

    Args:
        table: The measures as they were published, shape (569, 30).
        labels: The diagnosis of each row, shape (569,).
    """
    found = table.copy()
    for what, rows in planted().items():
        others = [_with_another_label(labels, row) for row in rows]
        found[list(rows)] = _HAPPENED[what](table[list(rows)], table[others])
    return found


def write(path: Path) -> None:
    """Writes the table as CSV: 569 rows, 30 columns of numbers and `diagnosis`."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415 - nobody else needs it

    published = load_breast_cancer()
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = (name.replace(" ", "_") for name in published.feature_names)
        writer.writerow([*names, "diagnosis"])
        rows = spoilt(published.data, published.target)
        for row, label in zip(rows, published.target, strict=True):
            numbers = (f"{value:.{_DIGITS}g}" for value in row)
            writer.writerow([*numbers, published.target_names[label]])


def _with_another_label(labels: Labels, row: int) -> int:
    """Returns the next row, from half the table on, with another diagnosis."""
    following = np.roll(np.arange(_ROWS), -(row + _ROWS // 2))
    return int(following[labels[following] != labels[row]][0])


def _other_unit(rows: Matrix, _: Matrix) -> Matrix:
    """Lengths and areas, as somebody types them who measures in another unit."""
    found = rows.copy()
    for first in range(0, rows.shape[1], _MEASURES):
        for length in _LENGTHS:
            found[:, first + length] *= _UNIT
        found[:, first + _AREA] *= _UNIT**2
    return found


def _wrong_columns(rows: Matrix, _: Matrix) -> Matrix:
    """Means and means of the largest, each in the other's columns."""
    mean, error, largest = np.split(rows, 3, axis=1)
    return np.hstack([largest, error, mean])


def _wrong_patient(rows: Matrix, others: Matrix) -> Matrix:
    """The means of the largest nuclei, of somebody with the other diagnosis."""
    return np.hstack([rows[:, : 2 * _MEASURES], others[:, 2 * _MEASURES :]])


_HAPPENED: Mapping[str, _Spoil] = {
    "typed in another unit": _other_unit,
    "typed into the wrong columns": _wrong_columns,
    "mixed with another patient": _wrong_patient,
}

if __name__ == "__main__":
    write(TABLE)
