"""DatasetService: check, convert, call, return."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf import empty_pb2

from aimass.catalog.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
)
from aimass.type.v1 import event_pb2
from common.errors import (
    FailedPreconditionError,
    FieldViolation,
    NotFoundError,
)
from common.host.helper import HelperProcess
from common.identity import caller
from common.names import DatasetName, DatasetVersionName
from common.records import RecordStore, RequestId
from common.runs.service import RunService
from services.catalog.convert import (
    data_prefixes,
    spec_from_proto,
    spec_to_proto,
    split_from_proto,
    without_shards,
)
from services.catalog.domain import fields
from services.catalog.domain.append_spec import like_base
from services.catalog.domain.diff import diff_versions
from services.catalog.domain.formats import DataFormat
from services.catalog.domain.objects import ImportObjects, shared_format
from services.catalog.domain.preview import choose_rows
from services.catalog.domain.resources import Datasets
from services.catalog.domain.spec import ImportSpec, check_spec, resolve_format
from services.catalog.domain.uploads import Uploads

T = TypeVar("T")


class DatasetServicer(dataset_pb2_grpc.DatasetServiceServicer):
    """Data sets and their imports."""

    def __init__(
        self,
        imports: RunService[dataset_pb2.DatasetImport],
        uploads: Uploads,
        datasets: Datasets,
        records: RecordStore,
        reader: HelperProcess,
        objects: ImportObjects,
    ) -> None:
        """Serves from these parts."""
        self._imports = imports
        self._uploads = uploads
        self._datasets = datasets
        self._records = records
        self._reader = reader
        self._objects = objects

    async def CreateDatasetImport(
        self, request: dataset_pb2.CreateDatasetImportRequest, context: object
    ) -> dataset_pb2.DatasetImport:
        """Starts an import."""
        method = "/aimass.catalog.v1.DatasetService/CreateDatasetImport"
        spec = spec_from_proto(request.dataset_import.spec)
        check_spec(spec)
        if spec.append:
            given = request.dataset_import.spec.HasField("split")
            spec = await asyncio.to_thread(self._check_append, spec, given)
        identity = RequestId.of(caller().subject, method, request.request_id, request)
        file_format = await asyncio.to_thread(self._find_format, spec)
        resolved = spec.model_copy(update={"format": file_format})
        draft = dataset_pb2.DatasetImport(
            spec=spec_to_proto(resolved), labels=request.dataset_import.labels
        )
        return await self._imports.create(
            draft,
            run_id=request.dataset_import_id,
            request=identity,
            validate_only=request.validate_only,
            references=[spec.upload] if spec.upload else [],
        )

    def _check_append(self, spec: ImportSpec, split_given: bool) -> ImportSpec:
        """Checks that rows can be appended; by default they are split as those before."""
        try:
            base = self._datasets.get(DatasetVersionName(DatasetName.from_name(spec.dataset).id))
        except NotFoundError:
            problem = f"{spec.dataset} has no version to append to; import without it first"
            raise FailedPreconditionError(
                f"{fields.APPEND}: {problem}.",
                reason="NOTHING_TO_APPEND_TO",
                violations=[FieldViolation(fields.APPEND, problem)],
            ) from None
        if not split_given:
            spec = spec.model_copy(update={"split": split_from_proto(base.split)})
        like_base(spec, base)
        return spec

    def _find_format(self, spec: ImportSpec) -> DataFormat | None:
        """Returns the format of what is to be imported, which must be there."""
        if spec.uri:
            return shared_format(spec, self._objects.find(spec.uri))
        upload = self._uploads.require_complete(spec.upload, fields.UPLOAD)
        return resolve_format(spec, upload.filename)

    async def GetDatasetImport(
        self, request: dataset_pb2.GetDatasetImportRequest, context: object
    ) -> dataset_pb2.DatasetImport:
        """Returns an import."""
        return await self._imports.get(request.name)

    async def ListDatasetImports(
        self, request: dataset_pb2.ListDatasetImportsRequest, context: object
    ) -> dataset_pb2.ListDatasetImportsResponse:
        """Returns a page of imports."""
        page = await self._imports.list(
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return dataset_pb2.ListDatasetImportsResponse(
            dataset_imports=page.resources, next_page_token=page.next_page_token
        )

    async def WatchDatasetImport(
        self, request: dataset_pb2.WatchDatasetImportRequest, context: object
    ) -> AsyncIterator[event_pb2.Event]:
        """Streams an import's events."""
        async for event in self._imports.watch(request.name, request.after_sequence):
            yield event

    async def CancelDatasetImport(
        self, request: dataset_pb2.CancelDatasetImportRequest, context: object
    ) -> dataset_pb2.DatasetImport:
        """Asks an import to stop."""
        return await self._imports.cancel(request.name)

    async def DeleteDatasetImport(
        self, request: dataset_pb2.DeleteDatasetImportRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes an import that ended."""
        await self._imports.delete(request.name)
        return empty_pb2.Empty()

    async def GetDataset(
        self, request: dataset_pb2.GetDatasetRequest, context: object
    ) -> dataset_pb2.Dataset:
        """Returns a data set."""
        name = DatasetName.from_name(request.name).name
        return await asyncio.to_thread(self._datasets.get_parent, name)

    async def ListDatasets(
        self, request: dataset_pb2.ListDatasetsRequest, context: object
    ) -> dataset_pb2.ListDatasetsResponse:
        """Returns a page of data sets."""
        page = await asyncio.to_thread(
            self._records.list,
            DatasetName.collection,
            dataset_pb2.Dataset,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return dataset_pb2.ListDatasetsResponse(
            datasets=page.resources, next_page_token=page.next_page_token
        )

    async def GetDatasetVersion(
        self, request: dataset_pb2.GetDatasetVersionRequest, context: object
    ) -> dataset_pb2.DatasetVersion:
        """Returns a version with schema and shards."""
        name = DatasetVersionName.from_name(request.name)
        return await asyncio.to_thread(self._datasets.get, name)

    async def ListDatasetVersions(
        self, request: dataset_pb2.ListDatasetVersionsRequest, context: object
    ) -> dataset_pb2.ListDatasetVersionsResponse:
        """Returns a page of a data set's versions, without shards."""
        page = await asyncio.to_thread(
            self._datasets.list,
            DatasetName.from_name(request.parent, "parent").name,
            request.page_size,
            request.page_token,
            without_shards,
            filter=request.filter,
            order_by=request.order_by,
        )
        return dataset_pb2.ListDatasetVersionsResponse(
            dataset_versions=page.resources, next_page_token=page.next_page_token
        )

    async def DeleteDatasetVersion(
        self, request: dataset_pb2.DeleteDatasetVersionRequest, context: object
    ) -> empty_pb2.Empty:
        """Deletes a version and its data."""
        name = DatasetVersionName.from_name(request.name)
        await asyncio.to_thread(self._datasets.delete, name, data_prefixes)
        return empty_pb2.Empty()

    async def PreviewDataset(
        self, request: dataset_pb2.PreviewDatasetRequest, context: object
    ) -> dataset_pb2.PreviewDatasetResponse:
        """Returns some rows of a version."""
        name = DatasetVersionName.from_name(request.name)
        version = await asyncio.to_thread(self._datasets.get, name)
        answer = await self._reader.ask(choose_rows(version, request).pack())
        rows = dataset_pb2.PreviewDatasetResponse.FromString(answer)
        rows.total_rows = version.row_count
        return rows

    async def DiffDatasetVersions(
        self, request: dataset_pb2.DiffDatasetVersionsRequest, context: object
    ) -> dataset_pb2.DiffDatasetVersionsResponse:
        """Says what differs between two versions."""
        base = DatasetVersionName.from_name(request.base, "base")
        name = DatasetVersionName.from_name(request.name)
        older = await asyncio.to_thread(self._datasets.get, base)
        newer = await asyncio.to_thread(self._datasets.get, name)
        return diff_versions(older, newer)
