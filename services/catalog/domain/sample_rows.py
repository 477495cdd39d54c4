"""Rows of a data set version to try a model on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import ColumnBatch, stream_columns
from common.data.schema import Column, ColumnType, Part, Schema

Values = npt.NDArray[np.generic]

_MAX_ROWS = 1000
_MAX_BYTES = 64 * 1024 * 1024
_LEFT_OUT = frozenset({ColumnType.TIMESTAMP})


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


def read_sample_rows(version: dataset_pb2.DatasetVersion, store: ObjectStore) -> SampleRows:
    """Returns at most 1,000 rows: of the validation part, where there is one, else of any.

    Raises:
        DataLossError: A shard does not match its digest.
    """
    schema = schema_from_proto(version.schema)
    targets = set(schema.targets) | {schema.target}
    features = [each for each in schema.columns if each.type not in _LEFT_OUT]
    features = [each for each in features if each.name not in targets]
    names = [column.name for column in features]
    is_validated = version.split_counts.validation > 0
    wanted = names + ([schema.target] if schema.target else [])
    room, room_bytes = _MAX_ROWS, _MAX_BYTES
    taken: list[dict[str, Values]] = []
    for batch in stream_columns(version, store, wanted):
        chosen = _chosen(batch, is_validated)[:room]
        sizes = np.cumsum(sum(_sizes(batch.columns[name][chosen]) for name in wanted))
        # One row at least, however large.
        least = 0 if room < _MAX_ROWS else 1
        rows = chosen[: max(least, int(np.searchsorted(sizes, room_bytes, "right")))]
        taken.append({name: batch.columns[name][rows] for name in wanted})
        room -= len(rows)
        if room <= 0 or len(rows) < len(chosen):
            break
        room_bytes -= int(sizes[-1]) if len(rows) else 0
    joined = {name: np.concatenate([each[name] for each in taken]) for name in wanted}
    return _typed(schema, features, joined)


def _chosen(batch: ColumnBatch, is_validated: bool) -> npt.NDArray[np.intp]:
    if is_validated:
        return np.flatnonzero(batch.parts == Part.VALIDATION)
    return np.arange(batch.row_count)


def _sizes(values: Values) -> npt.NDArray[np.int64]:
    """Returns the bytes that each value takes, about."""
    if values.dtype.kind == "O":
        return np.array([len(str(each)) for each in values], np.int64)
    return np.full(len(values), values[:1].nbytes, np.int64)


def _typed(schema: Schema, features: list[Column], columns: Mapping[str, Values]) -> SampleRows:
    images = {each.name: columns[each.name] for each in features if each.type is ColumnType.IMAGE}
    others = {
        each.name: _values(each, columns[each.name])
        for each in features
        if each.type is not ColumnType.IMAGE
    }
    if not schema.target:
        return SampleRows(others, images)
    return SampleRows(others, images, _target(schema.column(schema.target), columns))


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
