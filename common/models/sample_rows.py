"""Rows of a data set as the values that models from elsewhere take."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType

_NO_TIME = np.iinfo(np.int64).min
_MICROSECONDS = 1e6
_PLACE = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True)
class SampleRows:
    """Rows of the columns that models take.

    Attributes:
        columns: Values by column name, in the order of the schema: numbers and truth values as
            float64 [rows] with NaN for missing, categories and texts as objects [rows] with None
            for missing, embeddings as float64 [rows, length].
        by_name: Values by column name that only models take which ask for them by name: points in
            time as float64 seconds since 1970 with NaN for missing, a target of numbers, whose past
            forecasters go on from, and what networks make of columns, [rows, columns].
        images: uint8 [rows, channels, height, width] by column name.
        target: Texts of the labels, or float64 values, [rows]; None where there is no target.
    """

    columns: Mapping[str, Values] = field(default_factory=dict)
    images: Mapping[str, Values] = field(default_factory=dict)
    target: Values | None = None
    by_name: Mapping[str, Values] = field(default_factory=dict)

    @property
    def numeric(self) -> dict[str, Values]:
        """The columns of numbers."""
        return {name: each for name, each in self.columns.items() if each.dtype.kind == "f"}

    def named(self, name: str) -> Values | None:
        """Returns what a model takes by a name; None where there is no such column.

        Of vectors `name.0` is the column of their first numbers.
        """
        found = self.columns.get(name, self.by_name.get(name))
        return self._of_vectors(name) if found is None else found

    def _of_vectors(self, name: str) -> Values | None:
        column, _, place = name.rpartition(".")
        vectors = self.columns.get(column)
        if vectors is None or vectors.ndim == 1 or not _PLACE.fullmatch(place):
            return None
        return vectors[:, int(place)] if int(place) < vectors.shape[1] else None

    @property
    def count(self) -> int:
        """Number of rows."""
        for group in (self.columns, self.images, self.by_name):
            for each in group.values():
                return len(each)
        return 0

    def take(self, places: npt.NDArray[np.int64]) -> "SampleRows":
        """Returns rows by their positions, in this order."""

        def some(values: Mapping[str, Values]) -> dict[str, Values]:
            return {name: each[places] for name, each in values.items()}

        target = None if self.target is None else self.target[places]
        return SampleRows(some(self.columns), some(self.images), target, some(self.by_name))

    def save(self, path: Path) -> None:
        """Writes them to an npz file without objects."""
        texts = [name for name, each in self.columns.items() if each.dtype.kind == "O"]
        names = [list(self.columns), list(self.images), texts, list(self.by_name)]
        arrays = {"names": np.array(json.dumps(names))}
        for index, (name, each) in enumerate(self.columns.items()):
            arrays[f"column{index}"] = _as_bytes(each) if name in texts else each
        arrays |= {f"image{index}": each for index, each in enumerate(self.images.values())}
        arrays |= {f"more{index}": each for index, each in enumerate(self.by_name.values())}
        if self.target is not None:
            arrays["target"] = self.target
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "SampleRows":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            names, images, texts, by_name = json.loads(str(arrays["names"]))
            columns = {name: arrays[f"column{index}"] for index, name in enumerate(names)}
            columns |= {name: _as_objects(columns[name]) for name in texts}
            return cls(
                columns,
                {name: arrays[f"image{index}"] for index, name in enumerate(images)},
                arrays.get("target"),
                {name: arrays[f"more{index}"] for index, name in enumerate(by_name)},
            )


def _as_bytes(texts: Values) -> Values:
    return np.frombuffer(json.dumps(texts.tolist()).encode(), np.uint8)


def _as_objects(content: Values) -> Values:
    return np.array(json.loads(content.tobytes()), dtype=object)


def sample_rows(raw: RawRows, features: Sequence[Column], target: Column | None) -> SampleRows:
    """Returns rows as the values that models take.

    Args:
        raw: The rows; labels come from the columns.
        features: The columns that models may take.
        target: The column that is predicted; None for none.
    """

    def of(*types: ColumnType) -> dict[str, Values]:
        taken = [each for each in features if each.type in types]
        return {each.name: values_of(each, raw.columns[each.name]) for each in taken}

    found = None if target is None else _target(target, raw.columns)
    others = of(*(frozenset(ColumnType) - {ColumnType.IMAGE, ColumnType.TIMESTAMP}))
    by_name = of(ColumnType.TIMESTAMP)
    if target is not None and target.type is ColumnType.NUMERIC:
        by_name[target.name] = values_of(target, raw.columns[target.name])
    return SampleRows(others, of(ColumnType.IMAGE), found, by_name)


def values_of(column: Column, values: Values) -> Values:
    """Returns the values of a raw column as models take them; see `SampleRows`."""
    if column.type in (ColumnType.TEXT, ColumnType.IMAGE):
        return values
    if column.type is ColumnType.CATEGORICAL:
        # Code -1, which stands for missing, finds the last entry.
        return np.array([*column.labels, None], dtype=object)[values.astype(np.intp)]
    numbers = values.astype(np.float64)
    if column.type is ColumnType.TIMESTAMP:
        return np.where(values == _NO_TIME, np.nan, numbers / _MICROSECONDS)
    if column.type is ColumnType.BOOLEAN:
        return np.where(values.astype(np.int64) < 0, np.nan, numbers)
    return numbers


def _target(column: Column, columns: Mapping[str, Values]) -> Values:
    values = columns[column.name]
    if column.labels:
        return np.array(column.labels)[values.astype(np.intp)]
    return values.astype(np.float64) if column.type is ColumnType.NUMERIC else values.astype(str)
