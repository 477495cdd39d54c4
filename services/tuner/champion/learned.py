"""Which rows another model has learned from: told apart by what they hold."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import stream_columns
from common.data.rows import RawRows, Values
from common.data.schema import Column, ColumnType, Part, Schema

Digests = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MISSING = "\0missing"


def grew_from(version: dataset_pb2.DatasetVersion, base: dataset_pb2.DatasetVersion) -> bool:
    """Whether one of two versions is the other with rows appended: rows keep their parts then."""
    shorter, longer = sorted((version, base), key=lambda each: len(each.shards))
    return list(longer.shards[: len(shorter.shards)]) == list(shorter.shards)


def common_columns(schema: Schema, other: Schema) -> list[str]:
    """Returns the names of the columns that both have, of the same type and shape."""
    known = {each.name: (each.type, each.shape) for each in other.columns}
    return [each.name for each in schema.columns if known.get(each.name) == (each.type, each.shape)]


def learned_digests(
    version: dataset_pb2.DatasetVersion,
    names: Sequence[str],
    store: ObjectStore,
    check: Callable[[], None],
) -> Digests:
    """Returns a digest of each training and validation row of a version, each once.

    Args:
        version: What a model has learned from.
        names: The columns that count.
        store: Where its shards are.
        check: Called for each shard; may raise to stop.
    """
    schema = schema_from_proto(version.schema)
    columns = [schema.column(name) for name in names]
    found: list[Digests] = []
    for batch in stream_columns(version, store, names):
        check()
        rows = RawRows(batch.columns).take(batch.parts != Part.TEST)
        found.append(row_digests(rows, columns))
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64)


def row_digests(rows: RawRows, columns: Sequence[Column]) -> Digests:
    """Returns a number for each row that rows of equal values share, whatever their codes are."""
    found = np.zeros(rows.count, np.uint64)
    for column in columns:
        found = (found ^ _hashes(column, rows.columns[column.name])) * _FACTOR
        found ^= found >> np.uint64(29)
    return found


def _hashes(column: Column, values: Values) -> Digests:
    if values.ndim > 1:
        whole = np.ascontiguousarray(values).reshape(len(values), -1)
        return _hashed(np.array([each.tobytes() for each in whole], dtype=object))
    if column.labels:
        # Code -1, which stands for missing, finds the last entry.
        table = _hashed(np.array([*column.labels, _MISSING], dtype=object))
        return table[values.astype(np.intp)]
    if column.type is ColumnType.NUMERIC:
        numbers = values.astype(np.float64) + 0.0  # of -0 too
        return _hashed(np.where(np.isnan(numbers), np.nan, numbers))
    if values.dtype.kind == "O":
        texts = [_MISSING if each is None else each for each in values.tolist()]
        return _hashed(np.array(texts, dtype=object))
    return _hashed(values.astype(np.int64))


def _hashed(values: Values) -> Digests:
    return np.asarray(pd.util.hash_array(values, categorize=False), np.uint64)
