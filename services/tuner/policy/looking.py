"""What a policy looks at: the newest version, the champion, drift, feedback."""

import logging
import time

import grpc

from aimass.catalog.v1 import dataset_pb2, dataset_pb2_grpc, model_pb2, model_pb2_grpc
from aimass.outlier.v1 import outlier_pb2, outlier_pb2_grpc
from aimass.tuner.v1 import policy_pb2
from common.errors import FailedPreconditionError
from common.names import ModelVersionName
from services.tuner.policy.triggers import Seen, drifts_of, number_of

_log = logging.getLogger(__name__)

_PAGE = 1000


class Lookout:
    """Asks the catalog and the outlier service.

    Args:
        datasets: Stub of the catalog's data sets.
        models: Stub of its models.
        outliers: Stub of the outlier service.
    """

    def __init__(
        self,
        datasets: "dataset_pb2_grpc.DatasetServiceAsyncStub",
        models: "model_pb2_grpc.ModelServiceAsyncStub",
        outliers: "outlier_pb2_grpc.OutlierServiceAsyncStub",
    ) -> None:
        self._datasets = datasets
        self._models = models
        self._outliers = outliers

    async def look(self, policy: policy_pb2.TuningPolicy) -> Seen:
        """Returns what a policy sees now.

        Raises:
            AioRpcError: A service is away, or knows no such data set.
            FailedPreconditionError: The data set has no version.
        """
        moment = time.time_ns()  # Feedback that comes from here on counts the next time.
        version = (await self.newest_version(policy.dataset)).name
        champion = await self._champion(policy)
        base = policy.state.learned_version or _learned_from(champion, policy.dataset)
        base, drifts = await self._moved(policy, base, version)
        return Seen(
            version=version,
            champion=champion.name if champion else "",
            base=base,
            drifts=drifts,
            feedback_rows=await self._feedback_rows(policy),
            moment=moment,
        )

    async def newest_version(self, dataset: str) -> dataset_pb2.DatasetVersion:
        """Returns the newest version of a data set, without its shards."""
        request = dataset_pb2.ListDatasetVersionsRequest(
            parent=dataset, page_size=1, order_by="create_time desc"
        )
        page = await self._datasets.ListDatasetVersions(request)
        if not page.dataset_versions:
            raise FailedPreconditionError(f"{dataset} has no version; import one.")
        return page.dataset_versions[0]

    async def _champion(self, policy: policy_pb2.TuningPolicy) -> model_pb2.ModelVersion | None:
        """Returns what the alias points at; None for nowhere."""
        model = policy.spec.model.partition("/")[2]
        name = ModelVersionName(model, alias=policy.alias).name
        try:
            return await self._models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return None

    async def _moved(
        self, policy: policy_pb2.TuningPolicy, base: str, version: str
    ) -> tuple[str, tuple[policy_pb2.ColumnDrift, ...]]:
        """Returns the base, where it exists still, and how far columns moved since then."""
        is_seen = number_of(version) <= number_of(policy.state.dataset_version)
        if is_seen or not base or base == version:
            return base, ()
        request = dataset_pb2.DiffDatasetVersionsRequest(base=base, name=version)
        try:
            diff = await self._datasets.DiffDatasetVersions(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return "", ()
        return base, drifts_of(diff, policy.spec)

    async def _feedback_rows(self, policy: policy_pb2.TuningPolicy) -> int:
        """Returns the rows of feedback since the last search; 0 where nobody waits for them."""
        if not policy.triggers.feedback_rows:
            return 0
        since = policy.state.feedback_until.ToJsonString()
        request = outlier_pb2.ListOutlierFeedbackRequest(
            filter=f'learner="{policy.dataset}" AND create_time>"{since}"', page_size=_PAGE
        )
        count = 0
        try:
            while True:
                page = await self._outliers.ListOutlierFeedback(request)
                count += sum(each.row_count for each in page.feedback)
                if not page.next_page_token:
                    return count
                request.page_token = page.next_page_token
        except grpc.aio.AioRpcError as error:
            # New versions are looked at all the same; feedback is counted the next time.
            _log.warning("feedback on %s cannot be counted: %s", policy.dataset, error.details())
            return 0


def _learned_from(champion: model_pb2.ModelVersion | None, dataset: str) -> str:
    """Returns the version of a data set that a model has learned from; empty for none."""
    if champion is None:
        return ""
    prefix = f"{dataset}/versions/"
    return next((each for each in champion.lineage.inputs if each.startswith(prefix)), "")
