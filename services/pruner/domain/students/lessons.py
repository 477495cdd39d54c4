"""What small networks learn from: rows of a table, and what turns them into a network's inputs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import model_pb2
from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType
from common.models.frames import TEXT
from common.models.preprocessing import (
    CategoricalColumn,
    NumericColumn,
    Preprocessing,
    Target,
)
from common.models.transform import ColumnTransform
from common.models.twin import output_name
from services.pruner.domain.resolution import NETWORK_TYPES

_NOISE = 1e-12


@dataclass(frozen=True)
class Lessons:
    """What a network learns from.

    Attributes:
        columns: That the original takes, as the data set has them.
        rows: That the original has learned from.
        preprocessing: What turns such rows into the network's inputs.
    """

    columns: tuple[Column, ...]
    rows: RawRows
    preprocessing: Preprocessing

    def inputs(self, rows: RawRows) -> dict[str, Values]:
        """Returns rows as the network's twin takes them, by the names of its inputs."""
        transform = ColumnTransform(self.preprocessing, rows.columns, rows.labels)
        names = self.preprocessing.network_input.names
        return {name: transform.raw(name, slice(None)) for name in names}


def lessons_of(
    columns: Sequence[Column],
    signature: model_pb2.Signature,
    rows: RawRows,
    learned: Values,
    target: Target,
) -> Lessons | None:
    """Returns what a network can learn a model's answers from; None where there is no such network.

    There is none where the model takes anything but numbers, truth values and categories, or has
    inputs that are not columns of the data set, or some of these have the names of a network's
    inputs or output.

    Args:
        columns: Of the data set, its targets left out.
        signature: Of the model.
        rows: Of all these columns.
        learned: Which of them it has learned from.
        target: What it predicts.
    """
    taken = _taken(columns, signature)
    if not taken or any(each.type not in NETWORK_TYPES for each in taken):
        return None
    own_rows = RawRows({each.name: rows.columns[each.name] for each in taken}, rows.labels)
    own_rows = own_rows.take(learned)
    found = Lessons(taken, own_rows, _fitted(taken, own_rows, target))
    own = {*found.preprocessing.network_input.names, output_name(found.preprocessing)}
    known = {each.name for each in columns} | {each.name for each in signature.inputs}
    if own & known:
        return None
    return found


def _taken(columns: Sequence[Column], signature: model_pb2.Signature) -> tuple[Column, ...]:
    """Returns the columns that a model takes; see `common.models.inputs`."""
    asked = {each.name for each in signature.inputs}
    named = tuple(each for each in columns if each.name in asked)
    if named or len(signature.inputs) != 1:
        return named if len(named) == len(asked) else ()
    [matrix] = signature.inputs
    if len(matrix.shape) != 2:
        return ()
    if matrix.dtype == TEXT:
        return tuple(columns)
    numbers = (ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.EMBEDDING)
    return tuple(each for each in columns if each.type in numbers)


def _fitted(columns: Iterable[Column], rows: RawRows, target: Target) -> Preprocessing:
    numeric, categorical = [], []
    for each in columns:
        values = rows.columns[each.name]
        if each.type is ColumnType.NUMERIC:
            mean, scale = moments(values.astype(np.float64))
            numeric.append(NumericColumn(name=each.name, mean=mean, scale=scale))
        else:
            labels = [each.labels[code] for code in np.unique(values).tolist() if code >= 0]
            size = len(each.labels) + 1
            categorical.append(CategoricalColumn(name=each.name, labels=tuple(labels), size=size))
    return Preprocessing(numeric=tuple(numeric), categorical=tuple(categorical), target=target)


def moments(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Returns mean and population standard deviation of what is finite; 1 where that is 0."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    mean, deviation = float(known.mean()), float(known.std())
    is_constant = not np.isfinite(deviation) or deviation <= _NOISE * abs(mean)
    return mean, 1.0 if is_constant else deviation
