"""The kinds of resources that the catalog keeps."""

from aimass.catalog.v1 import dataset_pb2
from common.runs.kind import RunKind
from services.catalog.domain.versions import Line

DATASET_IMPORTS = RunKind("datasetImports", dataset_pb2.DatasetImport, "import")
DATASETS = Line(dataset_pb2.Dataset, dataset_pb2.DatasetVersion)
