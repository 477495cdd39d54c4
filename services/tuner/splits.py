"""How the rows of a data set version are split."""

from aimass.catalog.v1 import dataset_pb2


def temporal_column(version: dataset_pb2.DatasetVersion) -> str:
    """Returns the column that a version is split by in time; empty where it is split otherwise."""
    is_temporal = version.split.method == dataset_pb2.SPLIT_METHOD_TEMPORAL
    return version.split.column if is_temporal else ""
