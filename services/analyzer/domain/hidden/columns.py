"""Columns as numbers: what stands in where a model has no hidden layers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from services.analyzer.domain.hidden.source import HiddenLayer, Visit
from services.analyzer.domain.models.model import AnalysedModel

COLUMNS = "columns"
"""Name of the one layer."""

_MOST_CATEGORIES = 20
_MOST_PIXELS = 16
_MISSING_TIME = np.iinfo(np.int64).min

Numbers = npt.NDArray[np.float64]


class ColumnsAsNumbers:
    """The columns that a model takes, standardised: one layer without a function.

    Numbers have mean 0 and variance 1 with the mean for missing ones; the most frequent categories
    have a unit each; pictures are made small. Texts are left out.
    """

    layers = (HiddenLayer(COLUMNS),)
    usual = (COLUMNS,)
    note = (
        "The model has no hidden layers that can be looked into; its columns as numbers "
        "(standardised, categories as units) stand in for them."
    )

    def __init__(self, model: AnalysedModel) -> None:
        """Computes nothing yet."""
        self._model = model

    def visit(self, raw: RawRows, names: Sequence[str], visit: Visit) -> None:
        """See `HiddenSource`. All rows at once."""
        if not names:
            return
        columns = {name: raw.columns[name] for name in self._model.features}
        parts = [_units(each, name in raw.labels) for name, each in columns.items()]
        units = np.column_stack([*parts, np.zeros((raw.count, 0))])
        if units.shape[1]:
            visit(COLUMNS, 0, units.astype(np.float32))


def _units(values: Values, is_code: bool) -> Numbers:
    """Returns the units of a column, shape (rows, units)."""
    if values.dtype.kind == "O":
        return np.zeros((len(values), 0))
    if values.ndim == 4:
        return _scaled(_small(values))
    if is_code:
        return _categories(values)
    numbers = np.where(values == _MISSING_TIME, np.nan, values.astype(np.float64))
    return _scaled(numbers.reshape(len(values), -1))


def _scaled(values: Numbers) -> Numbers:
    """Returns values with mean 0 and variance 1 by unit; the mean where there is none."""
    values = np.where(np.isfinite(values), values, np.nan)
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values - np.where(known, values, 0).sum(axis=0) / counts, 0)
    spread = np.sqrt((centred**2).sum(axis=0) / counts)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def _small(images: Values) -> Numbers:
    """Returns the pixels of pictures, at most 16 x 16, evenly picked."""
    height, width = images.shape[2:]
    rows = np.linspace(0, height - 1, min(height, _MOST_PIXELS)).round().astype(int)
    columns = np.linspace(0, width - 1, min(width, _MOST_PIXELS)).round().astype(int)
    return images[:, :, rows[:, None], columns].reshape(len(images), -1).astype(np.float64)


def _categories(codes: Values) -> Numbers:
    """Returns a unit for each of the most frequent codes; missing ones (-1) have none."""
    known, counts = np.unique(codes[codes.astype(np.int64) >= 0], return_counts=True)
    frequent = known[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]]
    return np.asarray(codes[:, None] == frequent[None, :], np.float64)
