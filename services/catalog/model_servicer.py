"""The RPCs of models: check, convert, call, return."""

import asyncio
from functools import partial

from google.protobuf import empty_pb2

from aimass.catalog.v1 import model_pb2, model_pb2_grpc
from common.artifacts import ObjectStore
from common.errors import InvalidFieldError
from common.interceptors.auth import caller
from common.names import ModelName, ModelVersionName
from common.records import RecordStore, RequestId
from services.catalog.domain.models import Models, check_model_version, inputs_of
from services.catalog.domain.resources import Datasets, numbered_name


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Models and their versions."""

    def __init__(
        self, store: ObjectStore, records: RecordStore, models: Models, datasets: Datasets
    ) -> None:
        """Serves from these parts."""
        self._store = store
        self._records = records
        self._models = models
        self._resolve = partial(numbered_name, datasets, models)

    async def CreateModelVersion(
        self, request: model_pb2.CreateModelVersionRequest, context: object
    ) -> model_pb2.ModelVersion:
        """Registers a version whose artifacts are in the store."""
        method = "/aimass.catalog.v1.ModelService/CreateModelVersion"
        parent = ModelName.from_name(request.parent, "parent").name
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        version = request.model_version
        await asyncio.to_thread(
            check_model_version, self._store, self._records, version, self._resolve
        )
        if request.validate_only:
            return version
        return await asyncio.to_thread(
            self._models.create, parent, version, identity, references=inputs_of(version)
        )

    async def GetModel(
        self, request: model_pb2.GetModelRequest, context: object
    ) -> model_pb2.Model:
        """Returns a model."""
        name = ModelName.from_name(request.name).name
        return await asyncio.to_thread(self._models.get_parent, name)

    async def ListModels(
        self, request: model_pb2.ListModelsRequest, context: object
    ) -> model_pb2.ListModelsResponse:
        """Returns a page of models."""
        page = await asyncio.to_thread(
            self._records.list,
            ModelName.collection,
            model_pb2.Model,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return model_pb2.ListModelsResponse(
            models=page.resources, next_page_token=page.next_page_token
        )

    async def GetModelVersion(
        self, request: model_pb2.GetModelVersionRequest, context: object
    ) -> model_pb2.ModelVersion:
        """Returns a version."""
        name = ModelVersionName.from_name(request.name)
        return await asyncio.to_thread(self._models.get, name)

    async def ListModelVersions(
        self, request: model_pb2.ListModelVersionsRequest, context: object
    ) -> model_pb2.ListModelVersionsResponse:
        """Returns a page of a model's versions."""
        page = await asyncio.to_thread(
            self._models.list,
            ModelName.from_name(request.parent, "parent").name,
            request.page_size,
            request.page_token,
            filter=request.filter,
            order_by=request.order_by,
        )
        return model_pb2.ListModelVersionsResponse(
            model_versions=page.resources, next_page_token=page.next_page_token
        )

    async def DeleteModelVersion(
        self, request: model_pb2.DeleteModelVersionRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a version; its files go with the run that made them."""
        name = ModelVersionName.from_name(request.name)
        await asyncio.to_thread(self._models.delete, name)
        return empty_pb2.Empty()

    async def UpdateModelVersion(
        self, request: model_pb2.UpdateModelVersionRequest, context: object
    ) -> model_pb2.ModelVersion:
        """Changes the labels of a version."""
        name = ModelVersionName.from_name(request.model_version.name, "model_version.name")
        other = next((path for path in request.update_mask.paths if path != "labels"), "")
        if other:
            raise InvalidFieldError(
                "update_mask", f"`{other}` cannot change; of a version only `labels` can"
            )
        labels = dict(request.model_version.labels)
        return await asyncio.to_thread(self._models.set_labels, name, labels)

    async def SetModelAlias(
        self, request: model_pb2.SetModelAliasRequest, context: object
    ) -> model_pb2.Model:
        """Points an alias at a version."""
        name = ModelVersionName.from_name(request.name)
        return await asyncio.to_thread(self._models.set_alias, name, request.alias)

    async def DeleteModelAlias(
        self, request: model_pb2.DeleteModelAliasRequest, context: object
    ) -> model_pb2.Model:
        """Removes an alias."""
        name = ModelName.from_name(request.name).name
        return await asyncio.to_thread(self._models.delete_alias, name, request.alias)
