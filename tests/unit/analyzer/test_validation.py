"""Requests against what catalog and outlier service say; all three are played."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest

from aimass.analyzer.v1 import analyzer_pb2, resolver_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.type.v1 import run_pb2
from common.errors import AimassError, InvalidFieldError, UnavailableError
from services.analyzer.validation import Validator

MODEL, OTHER = "models/iris/versions/2", "models/iris/versions/3"
DATA, OTHER_DATA = "datasets/iris/versions/1", "datasets/iris/versions/2"
SCAN = "outlierScans/s"


@dataclass
class Suite:
    """The stubs of catalog and outlier service, as far as a validator calls them.

    Attributes:
        scans: Scans that there are, the newest first.
        origins: What the models were made from.
        away: Whether the outlier service cannot be reached.
        filters: What lists of scans were asked for.
    """

    scans: list[outlier_pb2.OutlierScan] = field(default_factory=list)
    origins: list[str] = field(default_factory=lambda: [DATA])
    away: bool = False
    filters: list[str] = field(default_factory=list)

    async def GetModelVersion(self, request: Any) -> model_pb2.ModelVersion:  # noqa: N802
        """Finds any version; `latest` is the second."""
        name = request.name.replace("latest", "2")
        return model_pb2.ModelVersion(name=name, lineage=run_pb2.Lineage(inputs=self.origins))

    async def GetDatasetVersion(self, request: Any) -> dataset_pb2.DatasetVersion:  # noqa: N802
        """Finds any version; `latest` is the first."""
        shard = dataset_pb2.Shard()
        return dataset_pb2.DatasetVersion(name=request.name.replace("latest", "1"), shards=[shard])

    async def GetOutlierScan(self, request: Any) -> outlier_pb2.OutlierScan:  # noqa: N802
        """Finds a scan."""
        self._answer()
        return next(each for each in self.scans if each.name == request.name)

    async def ListOutlierScans(self, request: Any, timeout: float) -> Any:  # noqa: ASYNC109, N802
        """Lists the newest."""
        self._answer()
        self.filters.append(request.filter)
        return outlier_pb2.ListOutlierScansResponse(outlier_scans=self.scans[: request.page_size])

    def _answer(self) -> None:
        if self.away:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, None, None)


class Resolver:
    """Takes every question for well asked, and keeps it."""

    def __init__(self) -> None:
        self.asked: list[resolver_pb2.ResolveAnalysis] = []

    async def ask(self, content: bytes) -> bytes:
        """Returns the specification as it came."""
        question = resolver_pb2.ResolveAnalysis.FromString(content)
        self.asked.append(question)
        return analyzer_pb2.Analysis(spec=question.spec).SerializeToString()


@pytest.fixture
def suite() -> Suite:
    return Suite()


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


@pytest.fixture
def validator(suite: Suite, resolver: Resolver) -> Validator:
    """A validator at that suite."""
    stub = cast(Any, suite)
    return Validator(stub, stub, stub, cast(Any, resolver))


def scan(data: str = DATA, state: Any = run_pb2.RUN_STATE_SUCCEEDED) -> outlier_pb2.OutlierScan:
    """Returns a scan that has ended."""
    made = outlier_pb2.OutlierScan(name=SCAN, status=run_pb2.RunStatus(state=state))
    made.spec.dataset_version = data
    made.scores.uri = "s3://aimass/runs/scores"
    return made


async def refusal(
    validator: Validator,
    spec: analyzer_pb2.AnalysisSpec,
    kind: type[AimassError] = InvalidFieldError,
    *,
    is_comparison: bool = False,
) -> str:
    """Returns why a specification is refused."""
    with pytest.raises(kind) as caught:
        await validator.resolve(spec, is_comparison)
    return str(caught.value)


async def test_names_are_resolved_and_data_found(validator: Validator, resolver: Resolver) -> None:
    """The resolver is asked with numbered versions; shards, which may be many, stay behind."""
    spec = analyzer_pb2.AnalysisSpec(model_version="models/iris/versions/latest")
    analysis = await validator.resolve(spec, is_comparison=False)
    (question,) = resolver.asked
    assert [each.name for each in question.model_versions] == [MODEL]
    assert analysis.spec.dataset_version == question.dataset_version.name == DATA
    assert not question.dataset_version.shards
    assert not spec.dataset_version, "the caller's specification stays as it was"


async def test_data_must_be_named_where_the_model_does_not_say(
    validator: Validator, suite: Suite
) -> None:
    """An imported model that was tried on nothing has no data of its own."""
    suite.origins = ["uploads/u"]
    spec = analyzer_pb2.AnalysisSpec(model_version=MODEL)
    assert "analysis.spec.dataset_version" in await refusal(validator, spec)
    spec.dataset_version = "datasets/iris/versions/latest"
    assert (await validator.resolve(spec, is_comparison=False)).spec.dataset_version == DATA


async def test_versions_are_named_once(validator: Validator) -> None:
    """`latest` may be the baseline itself; the error names the field of the method called."""
    spec = analyzer_pb2.AnalysisSpec(
        model_version=MODEL, challengers=[OTHER, "models/iris/versions/latest"]
    )
    assert "analysis.spec.challengers[1]" in await refusal(validator, spec)
    assert "model_versions[2]" in await refusal(validator, spec, is_comparison=True)
    spec.ClearField("model_version")
    assert "analysis.spec.model_version" in await refusal(validator, spec)
    spec.model_version = "datasets/iris/versions/1"
    assert "analysis.spec.model_version" in await refusal(validator, spec)


async def test_the_newest_scan_of_the_data_is_found(validator: Validator, suite: Suite) -> None:
    """Nobody has to know that there is one; its scores come with it."""
    suite.scans = [scan()]
    spec = analyzer_pb2.AnalysisSpec(model_version=MODEL)
    analysis = await validator.resolve(spec, is_comparison=False)
    assert (analysis.spec.outlier_scan, analysis.spec.outlier_scores) == (SCAN, scan().scores)
    assert suite.filters == [f'spec.dataset_version="{DATA}" AND state=SUCCEEDED']


async def test_scores_come_from_the_scan_alone(validator: Validator, suite: Suite) -> None:
    """A caller cannot have any file of the store read in their place."""
    suite.scans = [scan()]
    spec = analyzer_pb2.AnalysisSpec(model_version=MODEL, outlier_scan=SCAN)
    spec.outlier_scores.uri = "s3://aimass/records/secret"
    analysis = await validator.resolve(spec, is_comparison=False)
    assert analysis.spec.outlier_scores == scan().scores


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: scan(state=run_pb2.RUN_STATE_FAILED), "has not succeeded"),
        (lambda: scan(OTHER_DATA), f"is a scan of {OTHER_DATA}, not of {DATA}"),
    ],
)
async def test_a_scan_that_does_not_fit_is_refused(
    validator: Validator, suite: Suite, made: Callable[[], outlier_pb2.OutlierScan], why: str
) -> None:
    """Marks of other rows, or of none, would be taken for those of the data."""
    suite.scans = [made()]
    said = await refusal(
        validator, analyzer_pb2.AnalysisSpec(model_version=MODEL, outlier_scan=SCAN)
    )
    assert "analysis.spec.outlier_scan" in said and why in said


async def test_without_the_outlier_service_models_are_analysed(
    validator: Validator, suite: Suite
) -> None:
    """Only who names a scan has to wait for the service that knows it."""
    suite.away = True
    spec = analyzer_pb2.AnalysisSpec(model_version=MODEL)
    assert not (await validator.resolve(spec, is_comparison=False)).spec.outlier_scan
    spec.outlier_scan = SCAN
    assert "leave `outlier_scan` out" in await refusal(validator, spec, UnavailableError)
