"""A search names data of the catalog, and `latest` becomes a number, before anything is stored."""

import asyncio
from typing import Any

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.memory import MemoryStore
from common.errors import InvalidInputError, NotFoundError, UnavailableError
from common.records import RecordStore
from services.tuner.champion.checking import Champions
from services.tuner.convert import families_to_proto
from services.tuner.domain.names import FAMILY_KINDS, TRAINED_KINDS
from services.tuner.validation import Validator


class Catalog:
    """Has one data set; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def GetDatasetVersion(  # noqa: N802
        self, request: dataset_pb2.GetDatasetVersionRequest
    ) -> dataset_pb2.DatasetVersion:
        self.asked.append(request.name)
        version = dataset_pb2.DatasetVersion(name="datasets/d/versions/3")
        version.split_counts.train = 50
        version.schema.target, version.schema.targets[:] = "y", ["y"]
        version.schema.task = dataset_pb2.TASK_REGRESSION
        for name in ("x", "y"):
            column = version.schema.columns.add(name=name, type=dataset_pb2.COLUMN_TYPE_NUMERIC)
            column.distinct_count = 40
            column.numeric.max = 3.5
        return version


async def found(name: str) -> tuner_pb2.TuningRun:
    """Returns a search with a model, in the first version of the data; one has none."""
    if name.endswith("/gone"):
        raise NotFoundError("It is gone.")
    spec = tuner_pb2.TuningSpec(dataset_version="datasets/d/versions/1", targets=["y"])
    if name.endswith("/other-data"):
        spec.dataset_version = "datasets/e/versions/3"
    if name.endswith("/other-target"):
        spec.targets[:] = ["x"]
    model = "" if name.endswith("/running") else "models/d/versions/1"
    return tuner_pb2.TuningRun(name=name, spec=spec, model_version=model)


def resolve(catalog: Catalog, **spec: Any) -> tuner_pb2.TuningRun:
    stub: Any = catalog
    store = MemoryStore()
    validator = Validator(stub, stub, Champions(stub, store, RecordStore(store)), found)
    return asyncio.run(validator.resolve(tuner_pb2.TuningSpec(**spec)))


def test_a_run_comes_back_resolved_with_an_estimate() -> None:
    run = resolve(Catalog(), dataset_version="datasets/d/versions/latest", budget={"seconds": 60})
    assert run.spec.dataset_version == "datasets/d/versions/3"
    assert (run.spec.model, list(run.spec.targets)) == ("models/d", ["y"])
    assert run.spec.kind == tuner_pb2.PROBLEM_KIND_REGRESSION
    assert (run.estimate.duration.seconds, run.estimate.fold_count) == (60, 8)
    assert run.estimate.memory_bytes > run.spec.trial_memory_bytes
    assert "gaussian_process" in run.estimate.families


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "dataset_version"),
        ({"dataset_version": "d"}, "dataset_version"),
        ({"dataset_version": "datasets/d/versions/1", "model": "m"}, "model"),
        ({"dataset_version": "datasets/d/versions/1", "budget": {"seconds": 1}}, "budget"),
    ],
)
def test_what_is_wrong_in_itself_is_refused_before_the_catalog_is_asked(
    spec: dict[str, Any], field: str
) -> None:
    catalog = Catalog()
    with pytest.raises(InvalidInputError) as raised:
        resolve(catalog, **spec)
    assert [each.field for each in raised.value.violations] == [f"tuning_run.spec.{field}"]
    assert not catalog.asked


def test_families_are_listed_with_their_kinds() -> None:
    found = {each.name: each.kinds for each in families_to_proto().families}
    assert found.keys() == {*FAMILY_KINDS, *TRAINED_KINDS}
    assert list(found["gaussian_process"]) == [tuner_pb2.PROBLEM_KIND_REGRESSION]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("models/d", "tuningRuns/{id}"),
        ("tuningRuns/gone", "aimass runs list"),
        ("tuningRuns/running", "wait until it has ended"),
        ("tuningRuns/other-data", "name one of the same data set"),
        ("tuningRuns/other-target", "name one of the same targets"),
    ],
)
def test_a_search_that_cannot_be_continued_is_named_with_the_cure(name: str, cure: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        resolve(Catalog(), dataset_version="datasets/d/versions/3", continue_from=name)
    [violation] = refused.value.violations
    assert violation.field == "tuning_run.spec.continue_from"
    assert cure in violation.description


def test_a_search_in_another_version_of_the_data_is_continued() -> None:
    run = resolve(
        Catalog(), dataset_version="datasets/d/versions/3", continue_from="tuningRuns/before"
    )
    assert run.spec.continue_from == "tuningRuns/before"


class Scans:
    """An outlier service that knows a few scans of version 3."""

    async def GetOutlierScan(  # noqa: N802
        self, request: outlier_pb2.GetOutlierScanRequest
    ) -> outlier_pb2.OutlierScan:
        """Returns a scan by its name."""
        id_ = request.name.removeprefix("outlierScans/")
        states = {
            "good": run_pb2.RUN_STATE_SUCCEEDED,
            "old": run_pb2.RUN_STATE_SUCCEEDED,
            "running": run_pb2.RUN_STATE_RUNNING,
            "failed": run_pb2.RUN_STATE_FAILED,
        }
        if id_ not in states:
            raise AioRpcError(StatusCode.NOT_FOUND, Metadata(), Metadata(), "None.", "")
        found = outlier_pb2.OutlierScan(name=request.name)
        found.status.state = states[id_]
        found.spec.dataset_version = f"datasets/d/versions/{2 if id_ == 'old' else 3}"
        if found.status.state == run_pb2.RUN_STATE_SUCCEEDED:
            found.scores.uri = "s3://aimass/scores.parquet"
            found.scores.size_bytes = 9
        return found


class NoScans:
    """An outlier service that is away."""

    async def GetOutlierScan(  # noqa: N802
        self, request: object
    ) -> outlier_pb2.OutlierScan:
        """Does not answer."""
        raise AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "Away.", "")


def resolve_with_scan(scan: str, scans: object, **spec: Any) -> tuner_pb2.TuningRun:
    stub: Any = Catalog()
    outliers: Any = scans
    store = MemoryStore()
    champions = Champions(stub, store, RecordStore(store))
    validator = Validator(stub, outliers, champions, found)
    asked = tuner_pb2.TuningSpec(
        dataset_version="datasets/d/versions/latest",
        outliers=tuner_pb2.OutlierMarks(scan=scan),
        **spec,
    )
    return asyncio.run(validator.resolve(asked))


def test_a_scan_comes_back_with_its_scores_and_resolves_to_itself() -> None:
    """Protects the rows' weights: they are those of the scan as it was when the search began."""
    run = resolve_with_scan("outlierScans/good", Scans())
    assert run.spec.outliers.scores.uri == "s3://aimass/scores.parquet"
    stub: Any = Catalog()
    outliers: Any = Scans()
    store = MemoryStore()
    champions = Champions(stub, store, RecordStore(store))
    again = asyncio.run(Validator(stub, outliers, champions, found).resolve(run.spec))
    assert again.spec == run.spec


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        ("outlierScans/none", "NO_SUCH_SCAN"),
        ("outlierScans/running", "SCAN_NOT_ENDED"),
        ("outlierScans/failed", "SCAN_WITHOUT_SCORES"),
        ("outlierScans/old", "SCAN_OF_OTHER_DATA"),
        ("", ""),
        ("scans/good", ""),
    ],
)
def test_scans_that_do_not_fit_are_refused_by_field(scan: str, reason: str) -> None:
    """Protects from weights of other rows; each refusal names the field and the cure."""
    with pytest.raises(InvalidInputError) as caught:
        resolve_with_scan(scan, Scans())
    [violation] = caught.value.violations
    assert violation.field == "tuning_run.spec.outliers.scan"
    assert not reason or caught.value.reason == reason


def test_marks_do_not_go_with_forecasts() -> None:
    """Protects from a field that would silently do nothing."""
    with pytest.raises(InvalidInputError) as caught:
        resolve_with_scan("outlierScans/good", Scans(), forecast={"horizon": 3})
    assert caught.value.violations[0].field == "tuning_run.spec.outliers"


def test_an_outlier_service_that_is_away_is_named() -> None:
    """Protects people from guessing who is down."""
    with pytest.raises(UnavailableError, match="outlier service"):
        resolve_with_scan("outlierScans/good", NoScans())
