"""Rows of a data set as the values that models from elsewhere take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType


@dataclass(frozen=True)
class SampleRows:
    """Rows of the columns that models take.

    Attributes:
        columns: Values by column name, in the order of the schema: numbers and truth values as
            float64 [rows] with NaN for missing, categories and texts as objects [rows] with None
            for missing, embeddings as float64 [rows, length].
        images: uint8 [rows, channels, height, width] by column name.
        target: Texts of the labels, or float64 values, [rows]; None where there is no target.
    """

    columns: Mapping[str, Values] = field(default_factory=dict)
    images: Mapping[str, Values] = field(default_factory=dict)
    target: Values | None = None

    @property
    def numeric(self) -> dict[str, Values]:
        """The columns of numbers."""
        return {name: each for name, each in self.columns.items() if each.dtype.kind == "f"}

    def save(self, path: Path) -> None:
        """Writes them to an npz file without objects."""
        texts = [name for name, each in self.columns.items() if each.dtype.kind == "O"]
        arrays = {"names": np.array(json.dumps([list(self.columns), list(self.images), texts]))}
        for index, (name, each) in enumerate(self.columns.items()):
            arrays[f"column{index}"] = _as_bytes(each) if name in texts else each
        arrays |= {f"image{index}": each for index, each in enumerate(self.images.values())}
        if self.target is not None:
            arrays["target"] = self.target
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "SampleRows":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            names, images, texts = json.loads(str(arrays["names"]))
            columns = {name: arrays[f"column{index}"] for index, name in enumerate(names)}
            columns |= {name: _as_objects(columns[name]) for name in texts}
            return cls(
                columns,
                {name: arrays[f"image{index}"] for index, name in enumerate(images)},
                arrays.get("target"),
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
    images = {each.name: raw.columns[each.name] for each in features if _is_image(each)}
    others = {
        each.name: _values(each, raw.columns[each.name]) for each in features if not _is_image(each)
    }
    found = None if target is None else _target(target, raw.columns)
    return SampleRows(others, images, found)


def _is_image(column: Column) -> bool:
    return column.type is ColumnType.IMAGE


def _values(column: Column, values: Values) -> Values:
    if column.type is ColumnType.TEXT:
        return values
    if column.type is ColumnType.CATEGORICAL:
        # Code -1, which stands for missing, finds the last entry.
        return np.array([*column.labels, None], dtype=object)[values.astype(np.intp)]
    numbers: Values = values.astype(np.float64)
    if column.type is ColumnType.BOOLEAN:
        return np.where(values.astype(np.int64) < 0, np.nan, numbers)
    return numbers


def _target(column: Column, columns: Mapping[str, Values]) -> Values:
    values = columns[column.name]
    if column.labels:
        return np.array(column.labels)[values.astype(np.intp)]
    return values.astype(np.float64) if column.type is ColumnType.NUMERIC else values.astype(str)
