"""Forecasts as users meet them: a series in, a model out that says how it goes on."""

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import grpc
import pytest

from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import read_artifact
from common.calls import client
from common.local.plan import SuiteOptions
from common.models.skops_model import load_skops
from common.testing.suite import RunningSuite, running_suite
from services.tuner.recording.recalling import Recalled

pytestmark = pytest.mark.slow

BUDGET, HORIZON = 15, 12
KILLED_BUDGET, LEAST_TRIALS = 20, 16
# International airline passengers in thousands, by month from January 1949: Box and Jenkins, Time
# series analysis, forecasting and control (1976), series G.
PASSENGERS = [
    *(112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118),
    *(115, 126, 141, 135, 125, 149, 170, 170, 158, 133, 114, 140),
    *(145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166),
    *(171, 180, 193, 181, 183, 218, 230, 242, 209, 191, 172, 194),
    *(196, 196, 236, 235, 229, 243, 264, 272, 237, 211, 180, 201),
    *(204, 188, 235, 227, 234, 264, 302, 293, 259, 229, 203, 229),
    *(242, 233, 267, 269, 270, 315, 364, 347, 312, 274, 237, 278),
    *(284, 277, 317, 313, 318, 374, 413, 405, 355, 306, 271, 306),
    *(315, 301, 356, 348, 355, 422, 465, 467, 404, 347, 305, 336),
    *(340, 318, 362, 348, 363, 435, 491, 505, 404, 359, 310, 337),
    *(360, 342, 406, 396, 420, 472, 548, 559, 463, 407, 362, 405),
    *(417, 391, 419, 461, 472, 535, 622, 606, 508, 461, 390, 432),
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite of its own: searches for forecasts are told from others by nothing else."""
    home = tmp_path_factory.mktemp("forecast-suite")
    with running_suite(home, SuiteOptions(agents=1)) as running:
        yield running


@pytest.fixture(scope="module")
def data(suite: RunningSuite) -> str:
    """The passengers as a data set of one series, split in time by its import."""
    rows = [
        f"{date(1949 + number // 12, 1 + number % 12, 1)},{value}"
        for number, value in enumerate(PASSENGERS)
    ]
    spec = dataset_pb2.DatasetImportSpec(
        target="passengers", time_series=dataset_pb2.TimeSeries(time_column="month")
    )
    content = "\n".join(["month,passengers", *rows])
    return suite.import_dataset("passengers", "passengers.csv", content.encode(), spec)


def spec_of(data: str, horizon: int, budget: int = BUDGET) -> tuner_pb2.TuningSpec:
    """Returns a search in ways to forecast that are quick."""
    spec = tuner_pb2.TuningSpec(
        dataset_version=data,
        families=["naive", "linear_lags"],
        forecast=tuner_pb2.ForecastSpec(horizon=horizon),
    )
    spec.budget.FromSeconds(budget)
    return spec


@pytest.fixture(scope="module")
def forecast(suite: RunningSuite, data: str) -> tuner_pb2.TuningRun:
    """A search for the next year."""
    return suite.tune(spec_of(data, HORIZON))


def version_of(suite: RunningSuite, run: tuner_pb2.TuningRun) -> model_pb2.ModelVersion:
    """Returns the model that a search made, as the catalog shows it."""
    request = model_pb2.GetModelVersionRequest(name=run.model_version)
    return suite.models.GetModelVersion(request)


def test_a_way_to_go_on_is_found(suite: RunningSuite, forecast: tuner_pb2.TuningRun) -> None:
    """The main path: with nothing but data and a horizon."""
    summary = forecast.summary
    assert forecast.status.state == run_pb2.RUN_STATE_SUCCEEDED, forecast.status.error
    assert forecast.spec.kind == tuner_pb2.PROBLEM_KIND_FORECASTING
    assert forecast.spec.forecast.time_column == "month"
    assert (summary.metric, list(summary.floor_scores)) == ("mase", ["seasonal_naive"])
    assert 0 < summary.score.value < 3 and 0 < summary.test_score.value < 3
    version = version_of(suite, forecast)
    assert version.task == dataset_pb2.TASK_FORECASTING
    assert [each.name for each in version.signature.inputs] == ["month", "passengers"]
    request = tuner_pb2.ListCandidatesRequest(name=forecast.name)
    found = suite.tuning.ListCandidates(request).candidates
    assert found and {each.family for each in found} <= {"naive", "linear_lags"}
    page = b"".join(read_artifact(suite.store, forecast.report)).decode()
    assert "Forecasts and truth" in page and forecast.name in page


def test_the_model_goes_on_from_the_last_row(
    suite: RunningSuite, forecast: tuner_pb2.TuningRun
) -> None:
    """As a client loads it, with nothing but its files."""
    model = load_skops(suite.store, version_of(suite, forecast))
    found = model.estimator.forecast()
    assert str(found["month"].iloc[0])[:10] == "1961-01-01" and len(found) == HORIZON
    assert found["forecast"].between(250, 900).all()


def test_the_model_can_be_imported_and_tried_like_any_other(
    suite: RunningSuite, forecast: tuner_pb2.TuningRun, data: str
) -> None:
    """On rows of its data set, whose target it takes as the past."""
    version = version_of(suite, forecast)
    content = b"".join(read_artifact(suite.store, version.artifacts["skops"]))
    spec = model_pb2.ModelImportSpec(
        model="models/passengers-again",
        upload=suite.upload("model.skops", content),
        dataset_version=data,
    )
    created = suite.models.CreateModelImport(
        model_pb2.CreateModelImportRequest(
            model_import=model_pb2.ModelImport(spec=spec), request_id=str(uuid.uuid4())
        )
    )
    request = model_pb2.WatchModelImportRequest(name=created.name)
    for _ in client.watch(suite.models.WatchModelImport, request):
        pass
    done = suite.models.GetModelImport(model_pb2.GetModelImportRequest(name=created.name))
    assert done.status.state == run_pb2.RUN_STATE_SUCCEEDED, done.status.error
    assert done.spec.task == dataset_pb2.TASK_FORECASTING


def kept_trials(suite: RunningSuite, name: str, folder: Path) -> set[tuple[int, int]]:
    """Returns candidate and window of the trials of a search that are kept in the store."""
    tasks = [each.result.task for each in Recalled(suite.store, name, folder).trials]
    return {(each.candidate.number, each.fold) for each in tasks}


def test_a_killed_search_goes_on(suite: RunningSuite, data: str, tmp_path: Path) -> None:
    """SIGKILL of its process: another attempt goes on after the trials that ended before."""
    name = suite.create_tuning(spec_of(data, HORIZON, KILLED_BUDGET))
    for _ in suite.watch_tuning(name):
        if len(kept_trials(suite, name, tmp_path)) >= LEAST_TRIALS:
            break
    suite.job(name).kill()
    before = kept_trials(suite, name, tmp_path)
    run = suite.finish_tuning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 2 and run.model_version
    assert before <= kept_trials(suite, name, tmp_path)
    events = suite.watch_tuning(name)
    lines = [each.log_line.text for each in events if each.HasField("log_line")]
    [told] = [line for line in lines if "known from before" in line]
    assert int(told.split()[0]) >= LEAST_TRIALS
    listed = suite.tuning.ListCandidates(
        tuner_pb2.ListCandidatesRequest(name=name, page_size=1000)
    ).candidates
    assert {number for number, _ in before} <= {each.number for each in listed}


def test_a_horizon_beyond_the_data_is_refused(suite: RunningSuite, data: str) -> None:
    """With the most that can be forecast."""
    with pytest.raises(grpc.RpcError) as refused:
        suite.tune(spec_of(data, len(PASSENGERS)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 46 steps" in str(refused.value.details())
