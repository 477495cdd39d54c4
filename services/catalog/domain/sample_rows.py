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
_FEATURES = frozenset({ColumnType.NUMERIC, ColumnType.BOOLEAN, ColumnType.IMAGE})


@dataclass(frozen=True)
class SampleRows:
    """Rows of the columns that models take as numbers.

    Attributes:
        numeric: float64 [rows] by column name, in the order of the schema; NaN is missing.
        images: uint8 [rows, channels, height, width] by column name.
        target: Texts of the labels, or float64 values, [rows]; None where there is no target.
    """

    numeric: Mapping[str, Values] = field(default_factory=dict)
    images: Mapping[str, Values] = field(default_factory=dict)
    target: Values | None = None

    def save(self, path: Path) -> None:
        """Writes them to an npz file without objects."""
        names = json.dumps([list(self.numeric), list(self.images)])
        arrays = {"names": np.array(names)}
        arrays |= {f"numeric{index}": each for index, each in enumerate(self.numeric.values())}
        arrays |= {f"image{index}": each for index, each in enumerate(self.images.values())}
        if self.target is not None:
            arrays["target"] = self.target
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "SampleRows":
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            numeric, images = json.loads(str(arrays["names"]))
            return cls(
                {name: arrays[f"numeric{index}"] for index, name in enumerate(numeric)},
                {name: arrays[f"image{index}"] for index, name in enumerate(images)},
                arrays.get("target"),
            )


def read_sample_rows(version: dataset_pb2.DatasetVersion, store: ObjectStore) -> SampleRows:
    """Returns at most 1,000 rows: of the validation part, where there is one, else of any.

    Raises:
        DataLossError: A shard does not match its digest.
    """
    schema = schema_from_proto(version.schema)
    targets = set(schema.targets) | {schema.target}
    features = [each for each in schema.columns if each.type in _FEATURES]
    features = [each for each in features if each.name not in targets]
    names = [column.name for column in features]
    is_validated = version.split_counts.validation > 0
    wanted = names + ([schema.target] if schema.target else [])
    room = _MAX_ROWS
    taken: list[dict[str, Values]] = []
    for batch in stream_columns(version, store, wanted):
        rows = _chosen(batch, is_validated)[: min(room, _fitting(batch))]
        taken.append({name: batch.columns[name][rows] for name in wanted})
        room -= len(rows)
        if room <= 0 or len(rows) == _fitting(batch):
            break
    joined = {name: np.concatenate([each[name] for each in taken]) for name in wanted}
    return _typed(schema, features, joined)


def _chosen(batch: ColumnBatch, is_validated: bool) -> npt.NDArray[np.intp]:
    if is_validated:
        return np.flatnonzero(batch.parts == Part.VALIDATION)
    return np.arange(batch.row_count)


def _fitting(batch: ColumnBatch) -> int:
    row_bytes = sum(values[:1].nbytes for values in batch.columns.values())
    return max(1, _MAX_BYTES // max(row_bytes, 1))


def _typed(schema: Schema, features: list[Column], columns: Mapping[str, Values]) -> SampleRows:
    numeric: dict[str, Values] = {}
    images: dict[str, Values] = {}
    for column in features:
        values = columns[column.name]
        if column.type is ColumnType.IMAGE:
            images[column.name] = values
        elif column.type is ColumnType.BOOLEAN:
            codes = values.astype(np.float64)
            numeric[column.name] = np.where(codes < 0, np.nan, codes)
        else:
            numeric[column.name] = values.astype(np.float64)
    if not schema.target:
        return SampleRows(numeric, images)
    return SampleRows(numeric, images, _target(schema.column(schema.target), columns))


def _target(column: Column, columns: Mapping[str, Values]) -> Values:
    values = columns[column.name]
    if column.labels:
        return np.array(column.labels)[values.astype(np.intp)]
    return values.astype(np.float64) if column.type is ColumnType.NUMERIC else values.astype(str)
