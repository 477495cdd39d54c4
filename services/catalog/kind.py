"""The kinds of resources that the catalog keeps."""

from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.runs.kind import RunKind
from services.catalog.domain.versions import Line

DATASET_IMPORTS = RunKind("datasetImports", dataset_pb2.DatasetImport, "import")
MODEL_IMPORTS = RunKind("modelImports", model_pb2.ModelImport, "model-import")
DATASETS = Line(dataset_pb2.Dataset, dataset_pb2.DatasetVersion)
