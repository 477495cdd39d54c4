"""Reads the scores of a scan. For processes that may import pyarrow."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common.artifacts.blobs import fetch_artifact
from common.artifacts.protocol import ObjectStore
from common.artifacts.reference import ArtifactReference
from common.data.marks import RowMarks
from common.errors import DataLossError

_TYPES = {"marked": pa.bool_(), "probability": pa.float32()}


def read_scores(reference: ArtifactReference, rows: int, store: ObjectStore) -> RowMarks:
    """Returns what a scan says of each row.

    Args:
        reference: Where its scores lie.
        rows: Rows of the data.
        store: The object store.

    Raises:
        DataLossError: The scores are damaged, or not those of the data.
    """
    artifact = reference.artifact
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        fetch_artifact(store, artifact, path)
        table = _read(path, reference.uri)
    if table.num_rows != rows:
        raise DataLossError(f"{reference.uri} has {table.num_rows} rows and the data have {rows}.")
    marked, probability = (table.column(name).to_numpy() for name in _TYPES)
    if not np.all((probability >= 0) & (probability <= 1)):
        raise DataLossError(f"{reference.uri} has probabilities that are not between 0 and 1.")
    return RowMarks(marked, probability)


def _read(path: Path, uri: str) -> pa.Table:
    try:
        table = pq.read_table(path, columns=list(_TYPES))
    except pa.ArrowInvalid as error:
        raise DataLossError(f"{uri} holds no scores: {error}") from None
    found = dict(zip(table.column_names, table.schema.types, strict=True))
    if found != _TYPES or any(column.null_count for column in table.columns):
        raise DataLossError(f"{uri} has other columns than those of scores.")
    return table
