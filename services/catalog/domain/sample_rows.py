"""Rows of a data set version to try a model on."""

import numpy as np
import numpy.typing as npt

from aimass.catalog.v1 import dataset_pb2
from common.artifacts import ObjectStore
from common.data.messages import schema_from_proto
from common.data.reader import ColumnBatch, stream_columns
from common.data.rows import RawRows, Values
from common.data.schema import Part
from common.models.sample_rows import SampleRows, sample_rows

_MAX_ROWS = 1000
_MAX_BYTES = 64 * 1024 * 1024


def read_sample_rows(version: dataset_pb2.DatasetVersion, store: ObjectStore) -> SampleRows:
    """Returns at most 1,000 rows: of the validation part, where there is one, else of any.

    Raises:
        DataLossError: A shard does not match its digest.
    """
    schema = schema_from_proto(version.schema)
    targets = set(schema.targets) | {schema.target}
    features = [each for each in schema.columns if each.name not in targets]
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
    target = schema.column(schema.target) if schema.target else None
    return sample_rows(RawRows(joined), features, target)


def _chosen(batch: ColumnBatch, is_validated: bool) -> npt.NDArray[np.intp]:
    if is_validated:
        return np.flatnonzero(batch.parts == Part.VALIDATION)
    return np.arange(batch.row_count)


def _sizes(values: Values) -> npt.NDArray[np.int64]:
    """Returns the bytes that each value takes, about."""
    if values.dtype.kind == "O":
        return np.array([len(str(each)) for each in values], np.int64)
    return np.full(len(values), values[:1].nbytes, np.int64)
