"""Checks a search against the data it names, before it is created."""

from collections.abc import Awaitable, Callable

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc
from aimass.outlier.v1 import outlier_pb2_grpc
from aimass.tuner.v1 import tuner_pb2
from common.calls.scans import get_scan
from common.data.messages import schema_from_proto
from common.data.scans import Scan
from common.data.schema import SplitCounts
from common.errors import InvalidFieldError, NotFoundError
from common.names import DatasetVersionName, ModelName
from services.tuner.champion.checking import Champions, version_name
from services.tuner.continuing import check_continued, check_name, unknown
from services.tuner.convert import (
    estimate_to_proto,
    specification_from_proto,
    specification_to_proto,
)
from services.tuner.domain.resolution.data import TuningData
from services.tuner.domain.resolution.outliers import SCAN_FIELD
from services.tuner.domain.resolution.resolution import resolve_against_data
from services.tuner.domain.specification import FIELD, TuningSpecification
from services.tuner.splits import temporal_column


class Validator:
    """Resolves specifications with what the catalog and the outlier service know.

    Args:
        datasets: Stub of the catalog's data sets.
        scans: Stub of the outlier service.
        champions: Knows the models that searches are compared with.
        find: Returns a search; raises `NotFoundError`.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        scans: "outlier_pb2_grpc.OutlierServiceAsyncStub",
        champions: Champions,
        find: Callable[[str], Awaitable[tuner_pb2.TuningRun]],
    ) -> None:
        self._datasets = datasets
        self._scans = scans
        self._champions = champions
        self._find = find

    async def resolve(self, spec: tuner_pb2.TuningSpec) -> tuner_pb2.TuningRun:
        """Returns a run with the resolved specification and its estimate.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            UnavailableError: The outlier service is away, and the specification names a scan.
            NotFoundError: The data set version does not exist.
        """
        specification = specification_from_proto(spec)
        if specification.continue_from:
            check_name(specification.continue_from)
        if specification.model:
            ModelName.from_name(specification.model, f"{FIELD}.model")
        if specification.champion:
            version_name(specification.champion)
        data = await self._data(specification.dataset_version)
        scan = await self._scan(specification)
        resolved = resolve_against_data(specification, data, scan)
        await self._check_continued(resolved.specification)
        spec = specification_to_proto(resolved.specification)
        spec.champion = await self._champions.resolved(resolved.specification, data)
        return tuner_pb2.TuningRun(
            spec=spec,
            estimate=estimate_to_proto(resolved.estimate, resolved.specification),
        )

    async def _check_continued(self, specification: TuningSpecification) -> None:
        name = specification.continue_from
        if not name:
            return
        try:
            run = await self._find(name)
        except NotFoundError:
            raise unknown(name) from None
        check_continued(specification, run)

    async def _scan(self, specification: TuningSpecification) -> Scan | None:
        if specification.outliers is None:
            return None
        return await get_scan(self._scans, specification.outliers.scan, SCAN_FIELD)

    async def _data(self, name: str) -> TuningData:
        field = f"{FIELD}.dataset_version"
        if not name:
            raise InvalidFieldError(field, "Is required: datasets/{dataset}/versions/{version}.")
        name = DatasetVersionName.from_name(name, field).name
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        version = await self._datasets.GetDatasetVersion(request)
        counts = version.split_counts
        return TuningData(
            version.name,
            schema_from_proto(version.schema),
            SplitCounts(counts.train, counts.validation, counts.test),
            temporal_column(version),
        )
