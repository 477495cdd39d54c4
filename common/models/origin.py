"""What a model was made from."""

from aimass.catalog.v1 import model_pb2
from common.names import DatasetVersionName


def dataset_of(version: model_pb2.ModelVersion) -> str:
    """Returns the data set version that a model was made from; empty where it does not say."""
    prefix = f"{DatasetVersionName.collection}/"
    return next((name for name in version.lineage.inputs if name.startswith(prefix)), "")
