"""Checks a scan against the data it names, before it is created."""

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, scorer_pb2
from common.errors import InvalidFieldError
from common.names import DatasetVersionName
from services.outlier.pool import ScorerPool

_FIELD = "outlier_scan.spec.dataset_version"


class Validator:
    """Resolves specifications with what the catalog knows; scorers know the detectors.

    Args:
        datasets: Stub of the catalog's data sets.
        scorers: The scorers.
    """

    def __init__(
        self, datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub", scorers: ScorerPool
    ) -> None:
        self._datasets = datasets
        self._scorers = scorers

    async def resolve(self, spec: outlier_pb2.OutlierScanSpec) -> outlier_pb2.OutlierScan:
        """Returns a scan with the resolved specification and its estimate.

        Raises:
            InvalidInputError: Names every field that is wrong, and the cure.
            NotFoundError: The data set version does not exist.
        """
        if not spec.dataset_version:
            raise InvalidFieldError(_FIELD, "Is required: datasets/{dataset}/versions/{version}.")
        name = DatasetVersionName.from_name(spec.dataset_version, _FIELD).name
        request = dataset_pb2.GetDatasetVersionRequest(name=name)
        version = await self._datasets.GetDatasetVersion(request)
        del version.shards[:]
        question = scorer_pb2.ScorerQuestion(
            resolve=scorer_pb2.ResolveScan(spec=spec, dataset_version=version)
        )
        return await self._scorers.ask(question, outlier_pb2.OutlierScan)
