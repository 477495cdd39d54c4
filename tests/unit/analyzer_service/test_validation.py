"""What an analysis names is found, or it is said what is missing, before anything is stored."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from aimass.analyzer.v1 import analyzer_pb2, resolver_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.type.v1 import run_pb2
from common.errors import InvalidInputError, UnavailableError
from services.analyzer.validation import Validator

MODEL, OTHER = "models/m/versions/1", "models/m/versions/2"
DATA = "datasets/d/versions/3"
SCAN = "outlierScans/s"


class Away(grpc.aio.AioRpcError):
    """A service cannot be reached."""

    def __init__(self) -> None:
        nothing = grpc.aio.Metadata()
        super().__init__(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "away", "")


@dataclass
class World:
    """The services that the validator asks; it keeps what the resolver was asked."""

    inputs: tuple[str, ...] = ("trainingRuns/t", DATA)
    scans: list[outlier_pb2.OutlierScan] = field(default_factory=list)
    is_away: bool = False
    asked: list[resolver_pb2.ResolveAnalysis] = field(default_factory=list)
    versions_asked: int = 0

    async def GetModelVersion(self, request: Any) -> model_pb2.ModelVersion:  # noqa: N802
        """Returns any version."""
        self.versions_asked += 1
        version = model_pb2.ModelVersion(name=request.name.replace("latest", "2"))
        version.lineage.inputs.extend(self.inputs)
        return version

    async def GetDatasetVersion(self, request: Any) -> dataset_pb2.DatasetVersion:  # noqa: N802
        """Returns any version."""
        return dataset_pb2.DatasetVersion(name=request.name, shards=[dataset_pb2.Shard()])

    async def GetOutlierScan(self, request: Any) -> outlier_pb2.OutlierScan:  # noqa: N802
        """Returns a scan by name."""
        self._reach()
        return next(each for each in self.scans if each.name == request.name)

    async def ListOutlierScans(  # noqa: N802
        self,
        request: Any,
        timeout: float,  # noqa: ASYNC109
    ) -> outlier_pb2.ListOutlierScansResponse:
        """Returns the scans that are there."""
        self._reach()
        assert DATA in request.filter
        return outlier_pb2.ListOutlierScansResponse(outlier_scans=self.scans[: request.page_size])

    async def ask(self, question: bytes) -> bytes:
        """Answers as a resolver that finds nothing wrong."""
        asked = resolver_pb2.ResolveAnalysis.FromString(question)
        self.asked.append(asked)
        return analyzer_pb2.Analysis(spec=asked.spec).SerializeToString()

    def _reach(self) -> None:
        if self.is_away:
            raise Away

    def resolve(self, *, is_comparison: bool = False, **spec: object) -> analyzer_pb2.AnalysisSpec:
        """Returns the resolved specification."""
        stubs: Any = self
        validator = Validator(stubs, stubs, stubs, stubs)
        message = analyzer_pb2.AnalysisSpec(**spec)  # type: ignore[arg-type]
        return asyncio.run(validator.resolve(message, is_comparison)).spec


def scan(data: str = DATA, state: int = run_pb2.RUN_STATE_SUCCEEDED) -> outlier_pb2.OutlierScan:
    found = outlier_pb2.OutlierScan(name=SCAN)
    found.spec.dataset_version = data
    found.status.state = run_pb2.RunState.ValueType(state)
    found.scores.uri = "s3://b/scores"
    return found


def test_data_are_those_the_model_was_made_from() -> None:
    world = World()
    assert world.resolve(model_version=MODEL).dataset_version == DATA
    assert not world.asked[0].dataset_version.shards, "the resolver has no use for them"


def test_latest_becomes_a_number_before_models_are_compared() -> None:
    """`latest` and its number are the same version, and one cannot be compared with itself."""
    with pytest.raises(InvalidInputError) as raised:
        World().resolve(
            model_version=OTHER, challengers=["models/m/versions/latest"], is_comparison=True
        )
    assert raised.value.violations[0].field == "model_versions[1]"


def test_the_newest_scan_is_used_where_there_is_one() -> None:
    spec = World(scans=[scan()]).resolve(model_version=MODEL)
    assert (spec.outlier_scan, spec.outlier_scores.uri) == (SCAN, "s3://b/scores")
    assert not World().resolve(model_version=MODEL).outlier_scan


def test_an_analysis_does_without_the_outlier_service() -> None:
    """Unless it was asked for a scan by name."""
    assert not World(is_away=True).resolve(model_version=MODEL).outlier_scan
    with pytest.raises(UnavailableError, match="outlier_scan"):
        World(is_away=True).resolve(model_version=MODEL, outlier_scan=SCAN)


def test_scores_of_a_caller_are_not_believed() -> None:
    """They could point at anything in the store."""
    forged = {"uri": "s3://aimass/records/secret", "sha256": "0" * 64, "size_bytes": 3}
    spec = World().resolve(model_version=MODEL, outlier_scores=forged)
    assert not spec.HasField("outlier_scores")


@pytest.mark.parametrize(
    ("is_comparison", "field"), [(True, "model_versions"), (False, "analysis.spec.challengers")]
)
def test_too_many_versions_are_refused_before_the_catalog_is_asked(
    is_comparison: bool, field: str
) -> None:
    """One call must not become thousands."""
    world = World()
    others = [f"models/m/versions/{number}" for number in range(2, 5_000)]
    with pytest.raises(InvalidInputError) as raised:
        world.resolve(is_comparison=is_comparison, model_version=MODEL, challengers=others)
    assert [each.field for each in raised.value.violations] == [field]
    assert not world.versions_asked


@pytest.mark.parametrize(
    ("spec", "world", "told"),
    [
        ({}, World(), "analysis.spec.model_version"),
        ({"model_version": "models/M"}, World(), "analysis.spec.model_version"),
        ({"model_version": MODEL}, World(inputs=()), "analysis.spec.dataset_version"),
        (
            {"model_version": MODEL, "dataset_version": "d"},
            World(),
            "analysis.spec.dataset_version",
        ),
        ({"model_version": MODEL, "challengers": [MODEL]}, World(), "analysis.spec.challengers[0]"),
        (
            {"model_version": MODEL, "outlier_scan": SCAN},
            World(scans=[scan(data="datasets/other/versions/1")]),
            "analysis.spec.outlier_scan",
        ),
        (
            {"model_version": MODEL, "outlier_scan": SCAN},
            World(scans=[scan(state=run_pb2.RUN_STATE_FAILED)]),
            "analysis.spec.outlier_scan",
        ),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], world: World, told: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        world.resolve(**spec)
    assert [each.field for each in raised.value.violations] == [told]
    assert not world.asked
