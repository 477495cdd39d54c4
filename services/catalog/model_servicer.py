"""The RPCs of models: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from google.protobuf import empty_pb2

from aimass.catalog.v1 import model_pb2, model_pb2_grpc
from aimass.type.v1 import event_pb2
from common.artifacts import ObjectStore
from common.errors import InvalidFieldError
from common.identity import caller
from common.names import DatasetVersionName, ModelName, ModelVersionName
from common.records import RecordStore, RequestId
from common.runs.service import RunService
from common.wording import quoted
from services.catalog.convert import model_spec_from_proto, model_spec_to_proto
from services.catalog.domain.existence import require_resource
from services.catalog.domain.model_spec import (
    DATASET_VERSION,
    UPLOAD,
    ModelImportSpec,
    check_model_spec,
    resolve_model_format,
)
from services.catalog.domain.models import Models, check_model_version, inputs_of
from services.catalog.domain.resources import Datasets, numbered_name
from services.catalog.domain.uploads import Uploads


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Models and their versions."""

    def __init__(
        self,
        store: ObjectStore,
        records: RecordStore,
        models: Models,
        datasets: Datasets,
        uploads: Uploads,
        imports: RunService[model_pb2.ModelImport],
    ) -> None:
        """Serves from these parts."""
        self._uploads = uploads
        self._imports = imports
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
                "update_mask", f"{quoted(other)} cannot change; of a version only `labels` can"
            )
        labels = dict(request.model_version.labels)
        return await asyncio.to_thread(self._models.set_labels, name, labels)

    async def SetModelAlias(
        self, request: model_pb2.SetModelAliasRequest, context: object
    ) -> model_pb2.Model:
        """Points an alias at a version."""
        name = ModelVersionName.from_name(request.name)
        former = request.former_version if request.HasField("former_version") else None
        return await asyncio.to_thread(self._models.set_alias, name, request.alias, former)

    async def DeleteModelAlias(
        self, request: model_pb2.DeleteModelAliasRequest, context: object
    ) -> model_pb2.Model:
        """Removes an alias."""
        name = ModelName.from_name(request.name).name
        return await asyncio.to_thread(self._models.delete_alias, name, request.alias)

    async def CreateModelImport(
        self, request: model_pb2.CreateModelImportRequest, context: object
    ) -> model_pb2.ModelImport:
        """Starts an import."""
        method = "/aimass.catalog.v1.ModelService/CreateModelImport"
        spec = model_spec_from_proto(request.model_import.spec)
        check_model_spec(spec)
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        resolved = await asyncio.to_thread(self._resolve_import, spec)
        draft = model_pb2.ModelImport(
            spec=model_spec_to_proto(resolved), labels=request.model_import.labels
        )
        references = [resolved.upload, resolved.dataset_version]
        return await self._imports.create(
            draft,
            run_id=request.model_import_id,
            request=identity,
            validate_only=request.validate_only,
            references=[name for name in references if name],
        )

    async def GetModelImport(
        self, request: model_pb2.GetModelImportRequest, context: object
    ) -> model_pb2.ModelImport:
        """Returns an import."""
        return await self._imports.get(request.name)

    async def ListModelImports(
        self, request: model_pb2.ListModelImportsRequest, context: object
    ) -> model_pb2.ListModelImportsResponse:
        """Returns a page of imports."""
        page = await self._imports.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return model_pb2.ListModelImportsResponse(
            model_imports=page.resources, next_page_token=page.next_page_token
        )

    async def WatchModelImport(
        self, request: model_pb2.WatchModelImportRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams an import's events."""
        async for event in self._imports.watch(request.name, request.after_sequence):
            yield event

    async def CancelModelImport(
        self, request: model_pb2.CancelModelImportRequest, context: object
    ) -> model_pb2.ModelImport:
        """Asks an import to stop."""
        return await self._imports.cancel(request.name)

    async def DeleteModelImport(
        self, request: model_pb2.DeleteModelImportRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes an import that ended."""
        await self._imports.delete(request.name)
        return empty_pb2.Empty()

    def _resolve_import(self, spec: ModelImportSpec) -> ModelImportSpec:
        upload = self._uploads.require_complete(spec.upload, UPLOAD)
        changes: dict[str, object] = {"format": resolve_model_format(spec, upload.filename)}
        if spec.dataset_version:
            name = DatasetVersionName.from_name(spec.dataset_version, DATASET_VERSION).name
            number = self._resolve(name, DATASET_VERSION)
            changes["dataset_version"] = require_resource(self._records, number, DATASET_VERSION)
        return spec.model_copy(update=changes)
