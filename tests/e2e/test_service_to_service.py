"""The suite's story while each service is killed, or is away, and who stands in its logs."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import grpc
import psutil
import pytest

from aimass.catalog.v1 import model_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2, tuner_pb2_grpc
from aimass.type.v1 import event_pb2, run_pb2
from common.calls import client
from common.local.home import SuiteHome
from common.local.plan import SuiteOptions
from common.models.package import load_package
from common.models.skops_model import load_skops
from common.testing.story import TUNING_SECONDS, Story, insisted
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.faults import freeze, kill
from tests.e2e.pruning_data import trainings_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EDITOR = "edith@example.com"
EDITORS_TOKEN = "a-token-of-an-editor"
LOOK_SECONDS = 0.02
START_SECONDS = 20.0


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite that knows an editor."""
    folder = tmp_path_factory.mktemp("services-suite")
    home = SuiteHome(folder)
    home.create()
    home.ensure_tokens()
    content = json.loads(home.token_file.read_text())
    entry = {"token": EDITORS_TOKEN, "subject": EDITOR, "role": "editor"}
    home.write_private(home.token_file.name, json.dumps({"tokens": [*content["tokens"], entry]}))
    with running_suite(folder, SuiteOptions(agents=1)) as running:
        yield running


@pytest.fixture(scope="module")
def story(suite: RunningSuite) -> Story:
    """The story's first step; the catalog is killed while it imports."""
    begun = Story(suite)
    killed_in(begun, "import", "catalog", lambda _: True)
    return begun


@pytest.fixture(scope="module")
def told(story: Story) -> Story:
    """The story up to a network, each service killed while it works on its step."""
    killed_in(story, "scan", "outlier", lambda _: True)
    killed_in(story, "tuning", "tuner", lambda _: True)
    killed_in(story, "training", "trainer", lambda event: event.metrics.epoch >= 1)
    return story


def killed_in(
    story: Story, step: str, service: str, is_moment: Callable[[event_pb2.Event], bool]
) -> None:
    """Kills a service in the middle of a step, and waits for the step's success."""
    name = story.begin(step)
    for event in story.steps()[step].events(name):
        if is_moment(event):
            kill(story.suite.supervised(service))
            break
    else:
        raise AssertionError(f"{name} ended before {service} was killed")
    story.finish(step)


@contextmanager
def kept_down(suite: RunningSuite, service: str) -> Iterator[None]:
    """Kills a service, and stops the one that is started in its place, until the context ends."""
    dead = suite.supervised(service)
    kill(dead)
    successor = started_after(suite, service, dead)
    freeze(successor)  # before it listens
    try:
        yield
    finally:
        kill(successor)


def started_after(suite: RunningSuite, service: str, dead: psutil.Process) -> psutil.Process:
    """Returns the process that the supervisor starts for one that is dead."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if (found := suite.supervised(service)) != dead:
                return found
        time.sleep(LOOK_SECONDS)  # the state file tells nobody when it changes
    raise TimeoutError(f"{service} is not started again")


def audit(suite: RunningSuite, service: str, method: str) -> list[dict[str, object]]:
    """Returns the log lines of a service about calls to a method."""
    log = suite.suite.home.log_folder / f"{service}.log"
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if str(line.get("method", "")).endswith(f"/{method}")]


def trainings_for(suite: RunningSuite, tuning: str) -> list[trainer_pb2.TrainingRun]:
    """Returns the trainings that a search has made."""
    label = f"labels.tuning-run={tuning.rpartition('/')[2]}"
    request = trainer_pb2.ListTrainingRunsRequest(filter=label)
    return list(suite.training.ListTrainingRuns(request).training_runs)


def sentence(events: Iterator[event_pb2.Event], words: str) -> str:
    """Returns the first log line of a run with these words; empty where there is none."""
    return next((each.log_line.text for each in events if words in each.log_line.text), "")


def test_the_story_ends_well_whoever_is_killed(suite: RunningSuite, told: Story) -> None:
    """SIGKILL of each service in its step: all succeed, every model is there once and opens."""
    for step, model in told.models().items():
        parent = model.partition("/versions/")[0]
        request = model_pb2.ListModelVersionsRequest(parent=parent)
        versions = [each.name for each in suite.models.ListModelVersions(request).model_versions]
        assert versions == [model], step
    trained = model_of(suite, told.models()["training"])
    assert trained.metrics["test/accuracy"] > 0.5
    load_package(suite.store, trained)
    load_skops(suite.store, model_of(suite, told.models()["tuning"]))


def model_of(suite: RunningSuite, name: str) -> model_pb2.ModelVersion:
    """Returns a model version."""
    return suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))


def test_a_pruning_and_its_analysis_outlive_whom_they_need(
    suite: RunningSuite, told: Story
) -> None:
    """SIGKILL of the trainer and the pruner in a pruning, of the analyzer in an analysis."""
    name, seen = told.begin("pruning"), 0
    for event in suite.watch_pruning(name):
        if event.log_line.text.startswith("trainingRuns/") and seen < 2:
            kill(suite.supervised(("trainer", "pruner")[seen]))
            seen += 1
    told.finish("pruning")
    assert seen, "no training was under way"
    for each in trainings_of(suite, name):
        assert suite.finish_run(each.name).status.state != run_pb2.RUN_STATE_FAILED, each.name
    if smaller := told.models()["pruning"]:  # where something smaller was as good
        pruned = model_of(suite, smaller)
        load_package(suite.store, pruned)
        trained = model_of(suite, told.models()["training"])
        assert pruned.parameter_count <= trained.parameter_count
    killed_in(told, "analysis", "analyzer", lambda _: True)


def test_the_trainer_knows_who_asked_the_tuner(suite: RunningSuite, story: Story) -> None:
    """An editor's search: the trainer's log and its runs name the editor, in the same trace."""
    with client.connect_sync(suite.state.addresses["tuner"], EDITORS_TOKEN) as channel:
        spec = tuner_pb2.TuningSpec(
            dataset_version=story.dataset_version,
            model="models/editors",
            families=["linear", "deep_table"],
        )
        spec.budget.FromSeconds(TUNING_SECONDS)
        request = tuner_pb2.CreateTuningRunRequest(tuning_run=tuner_pb2.TuningRun(spec=spec))
        name = tuner_pb2_grpc.TunerServiceStub(channel).CreateTuningRun(request).name
    run = suite.finish_tuning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.creator == EDITOR
    [first, *_] = trainings_for(suite, name)
    assert first.status.creator == EDITOR
    trace = run.status.traceparent.split("-")[1]
    assert first.status.traceparent.split("-")[1] == trace
    for service, method in (("trainer", "CreateTrainingRun"), ("catalog", "CreateModelVersion")):
        asked = [each for each in audit(suite, service, method) if each.get("trace_id") == trace]
        assert asked, method
        assert {(each["subject"], each["on_behalf_of"]) for each in asked} == {("service", EDITOR)}
    [created] = [
        each for each in audit(suite, "tuner", "CreateTuningRun") if each.get("trace_id") == trace
    ]
    assert created["subject"] == EDITOR and "on_behalf_of" not in created


def test_a_search_waits_visibly_for_the_trainer(suite: RunningSuite, story: Story) -> None:
    """The trainer is away at first: the search says so, goes on, and trains once it is back."""
    with kept_down(suite, "trainer"):
        name = story.begin("tuning")
        assert "the trainer" in sentence(suite.watch_tuning(name), "waits for")
    story.finish("tuning")
    run = suite.get_tuning(name)
    assert trainings_for(suite, name) or any("trainer" in each for each in run.summary.warnings)
    assert sentence(suite.watch_tuning(name), "The trainer is back")


def test_a_pruning_says_that_the_trainer_is_away(suite: RunningSuite, told: Story) -> None:
    """It waits a little, then trains in its own process, and names the trainer."""
    name = told.begin("pruning")
    with kept_down(suite, "trainer"):
        assert "the trainer" in sentence(suite.watch_pruning(name), "waits for")
        told.finish("pruning")
    notes = suite.get_pruning(name).summary.notes
    assert any("The trainer cannot be reached" in each for each in notes), notes


def test_a_run_waits_visibly_for_the_catalog(suite: RunningSuite, story: Story) -> None:
    """A scan that was accepted waits for the catalog; what asks for it at once hears its name."""
    detector = detector_pb2.DetectorSpec(hbos=detector_pb2.Hbos())
    spec = outlier_pb2.OutlierScanSpec(
        dataset_version=story.dataset_version, detectors=[detector], model="models/patient"
    )
    name = insisted(lambda: suite.create_scan(spec))
    events = client.watch(
        suite.outliers.WatchOutlierScan, outlier_pb2.WatchOutlierScanRequest(name=name)
    )
    with kept_down(suite, "catalog"):
        assert "the catalog" in sentence(events, "waits for")
        with pytest.raises(grpc.RpcError, match="needs the catalog, which cannot be reached"):
            suite.create_scan(spec)
    scan = suite.finish_scan(name)
    assert scan.status.state == run_pb2.RUN_STATE_SUCCEEDED, scan.status.error
    assert model_of(suite, scan.model_version).name == scan.model_version
