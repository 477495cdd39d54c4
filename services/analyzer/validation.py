"""Checks an analysis against what it names, before it is created."""

import asyncio
import logging

import grpc

from aimass.analyzer.v1 import analyzer_pb2, resolver_pb2
from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.type.v1 import run_pb2
from common.errors import InvalidFieldError, UnavailableError
from common.host.helper import HelperProcess
from common.models.origin import dataset_of
from common.names import DatasetVersionName, ModelVersionName, OutlierScanName
from services.analyzer.domain.paths import MOST_CHALLENGERS, Paths

# The newest scan is looked for in passing.
_LOOKING_SECONDS = 2.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


_log = logging.getLogger(__name__)


class Validator:
    """Resolves specifications with what the other services know.

    Args:
        datasets: Stub of the catalog's data sets.
        models: Stub of the catalog's models.
        scans: Stub of the outlier service.
        resolver: Looks into models.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        scans: "outlier_pb2_grpc.OutlierServiceAsyncStub",
        resolver: HelperProcess,
    ) -> None:
        self._datasets = datasets
        self._models = models
        self._scans = scans
        self._resolver = resolver

    async def resolve(
        self, spec: analyzer_pb2.AnalysisSpec, is_comparison: bool
    ) -> analyzer_pb2.Analysis:
        """Returns an analysis with the resolved specification and its estimate.

        Args:
            spec: What the caller wants.
            is_comparison: Whether CompareModels was called: errors name its fields then.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            NotFoundError: A model or the data set version does not exist.
            UnavailableError: A service that is needed is away.
        """
        paths = Paths(is_comparison)
        if len(spec.challengers) > MOST_CHALLENGERS:  # before the catalog is asked for each
            raise paths.too_many()
        names = [spec.model_version, *spec.challengers]
        versions = await asyncio.gather(
            *(self._version(name, paths.model(place)) for place, name in enumerate(names))
        )
        _check_distinct([each.name for each in versions], paths)
        data = await self._data(spec, versions[0], paths)
        question = resolver_pb2.ResolveAnalysis(
            spec=spec,
            model_versions=versions,
            dataset_version=data,
            is_comparison=is_comparison,
        )
        question.spec.dataset_version = data.name
        await self._add_scan(question.spec, paths.of("outlier_scan"))
        answer = await self._resolver.ask(question.SerializeToString())
        return analyzer_pb2.Analysis.FromString(answer)

    async def _version(self, name: str, field: str) -> model_pb2.ModelVersion:
        if not name:
            raise InvalidFieldError(field, "Is required: models/{model}/versions/{version}.")
        name = ModelVersionName.from_name(name, field).name
        return await self._models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))

    async def _data(
        self, spec: analyzer_pb2.AnalysisSpec, version: model_pb2.ModelVersion, paths: Paths
    ) -> dataset_pb2.DatasetVersion:
        field = paths.of("dataset_version")
        name = spec.dataset_version or dataset_of(version)
        if not name:
            raise InvalidFieldError(
                field, f"Is required: {version.name} does not say what it was trained on."
            )
        name = DatasetVersionName.from_name(name, field).name
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        found = await self._datasets.GetDatasetVersion(request)
        del found.shards[:]
        return found

    async def _add_scan(self, spec: analyzer_pb2.AnalysisSpec, field: str) -> None:
        """Puts the scan and its scores into a specification, where there is one."""
        spec.ClearField("outlier_scores")
        scan = (
            await self._scan(spec, field)
            if spec.outlier_scan
            else await self._newest_scan(spec.dataset_version)
        )
        if scan is not None:
            spec.outlier_scan = scan.name
            spec.outlier_scores.CopyFrom(scan.scores)

    async def _scan(self, spec: analyzer_pb2.AnalysisSpec, field: str) -> outlier_pb2.OutlierScan:
        name = OutlierScanName.from_name(spec.outlier_scan, field).name
        try:
            scan = await self._scans.GetOutlierScan(outlier_pb2.GetOutlierScanRequest(name=name))
        except grpc.aio.AioRpcError as error:
            if error.code() in _AWAY:
                raise UnavailableError(
                    f"The outlier service, which knows {name}, cannot be reached now; try again, "
                    "or leave `outlier_scan` out."
                ) from None
            raise
        if scan.status.state != run_pb2.RUN_STATE_SUCCEEDED:
            raise InvalidFieldError(field, f"{name} has not succeeded; name a scan that has.")
        if scan.spec.dataset_version != spec.dataset_version:
            raise InvalidFieldError(
                field,
                f"{name} is a scan of {scan.spec.dataset_version}, not of {spec.dataset_version}; "
                "name a scan of the same data.",
            )
        return scan

    async def _newest_scan(self, dataset_version: str) -> outlier_pb2.OutlierScan | None:
        request = outlier_pb2.ListOutlierScansRequest(
            filter=f'spec.dataset_version="{dataset_version}" AND state=SUCCEEDED', page_size=1
        )
        try:
            page = await self._scans.ListOutlierScans(request, timeout=_LOOKING_SECONDS)
        except grpc.aio.AioRpcError as error:
            # An analysis can do without.
            _log.warning("The newest scan cannot be looked for: %s", error.details())
            return None
        return page.outlier_scans[0] if page.outlier_scans else None


def _check_distinct(names: list[str], paths: Paths) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InvalidFieldError(paths.model(place), f"names {name} twice; name each once.")
