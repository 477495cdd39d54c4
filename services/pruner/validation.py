"""Checks a pruning against the model and the data it names, before it is created."""

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.pruner.v1 import pruner_pb2
from common.errors import InvalidFieldError
from common.models.origin import dataset_of
from common.names import DatasetVersionName, ModelName, ModelVersionName
from services.pruner.convert import (
    known_data,
    known_model,
    run_to_proto,
    specification_from_proto,
)
from services.pruner.domain.resolution import resolve_against
from services.pruner.domain.specification import FIELD


class Validator:
    """Resolves specifications with what the catalog knows.

    Args:
        datasets: Stub of the catalog's data sets.
        models: Stub of the catalog's models.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        models: "model_pb2_grpc.ModelServiceAsyncStub",
    ) -> None:
        self._datasets = datasets
        self._models = models

    async def resolve(self, spec: pruner_pb2.PruningSpec) -> pruner_pb2.PruningRun:
        """Returns a run with the resolved specification and its estimate.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            NotFoundError: The model or the data set version does not exist.
        """
        specification = specification_from_proto(spec)
        if specification.model:
            ModelName.from_name(specification.model, f"{FIELD}.model")
        version = await self._model(specification.model_version)
        model = known_model(version)
        data = await self._data(specification.dataset_version or dataset_of(version), version)
        return run_to_proto(resolve_against(specification, model, known_data(data)))

    async def _model(self, name: str) -> model_pb2.ModelVersion:
        field = f"{FIELD}.model_version"
        if not name:
            raise InvalidFieldError(field, "Is required: models/{model}/versions/{version}.")
        name = ModelVersionName.from_name(name, field).name
        return await self._models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))

    async def _data(self, name: str, version: model_pb2.ModelVersion) -> dataset_pb2.DatasetVersion:
        field = f"{FIELD}.dataset_version"
        if not name:
            raise InvalidFieldError(
                field, f"Is required: {version.name} does not say what it was made from."
            )
        name = DatasetVersionName.from_name(name, field).name
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        return await self._datasets.GetDatasetVersion(request)
