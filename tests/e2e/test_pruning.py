"""The pruner as its users meet it: models in, smaller versions out, bad input, and faults."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from sklearn.ensemble import RandomForestClassifier

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2, transfer_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.artifacts.blobs import read_artifact
from common.local.plan import SuiteOptions
from common.models.onnx_model import load_onnx
from common.models.package import load_package
from common.models.skops_model import load_skops
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.analysis_data import TARGET, import_model, import_onnx, measurements, table
from tests.support.browser import open_browser
from tests.support.foreign_models import skops_file

# A test may learn a model, and prune it within the budget.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BUDGET = 60
TREES = ["fewer_members", "smaller_parts", "fewer_columns"]
_BEGINS = " is tried on "
DRAWN = "[...document.querySelectorAll('.plot')].every(e => e.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite with a process for prunings ready, as it has at its users'."""
    home = tmp_path_factory.mktemp("pruner-suite")
    with running_suite(home, SuiteOptions(agents=1), {"AIMASS_PRUNER_WARM": "true"}) as running:
        yield running


@pytest.fixture(scope="module")
def data(suite: RunningSuite) -> str:
    """Four numbers and a colour, of which half is left to choose by and to judge on."""
    split = dataset_pb2.SplitSpec(validation_fraction=0.2, test_fraction=0.3)
    spec = dataset_pb2.DatasetImportSpec(target=TARGET, split=split)
    return suite.import_dataset("pruned-colours", "colours.csv", table(), spec)


@pytest.fixture(scope="module")
def forest(suite: RunningSuite, data: str) -> str:
    """A forest from elsewhere, which has learned from other rows of the same kind."""
    values, colours = measurements(1800)
    learned = RandomForestClassifier(100, random_state=0).fit(values[600:], colours[600:])
    return import_model(suite, "forest.skops", skops_file(learned), "forest", data)


@pytest.fixture(scope="module")
def pruned(suite: RunningSuite, forest: str) -> pruner_pb2.PruningRun:
    """A pruning of the forest with nothing but its name and a bound."""
    return suite.prune(spec_of(forest, methods=TREES, compare=True))


def spec_of(version: str, **more: Any) -> pruner_pb2.PruningSpec:
    """Returns a pruning that may lose three hundredths of accuracy."""
    fields: dict[str, Any] = {"metric": "accuracy", "max_loss": 0.03, "compare": False, **more}
    spec = pruner_pb2.PruningSpec(model_version=version, **fields)
    spec.budget.FromSeconds(BUDGET)
    return spec


def points_of(suite: RunningSuite, name: str, size: int = 1000) -> list[pruner_pb2.Point]:
    """Returns the points of a pruning, page by page."""
    request = pruner_pb2.ListPointsRequest(name=name, page_size=size)
    found: list[pruner_pb2.Point] = []
    while True:
        page = suite.pruning.ListPoints(request)
        found += page.points
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


def version_of(suite: RunningSuite, name: str) -> model_pb2.ModelVersion:
    """Returns a model version."""
    return suite.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))


def test_a_forest_becomes_smaller_and_says_why(
    suite: RunningSuite, pruned: pruner_pb2.PruningRun, forest: str, data: str
) -> None:
    """The main path: the recommended version is smaller, keeps the bound, and has its lineage."""
    assert pruned.status.state == run_pb2.RUN_STATE_SUCCEEDED, pruned.status.error
    summary = pruned.summary
    assert summary.is_within and summary.reasons and summary.point_count >= 2
    assert summary.point.loss_high <= 0.03
    assert summary.point.size_gain > 1
    version = version_of(suite, pruned.model_version)
    assert list(version.lineage.inputs) == [data, pruned.name, forest]
    assert list(pruned.status.lineage.outputs) == [version.name]
    assert version.name.startswith("models/forest/versions/")
    original, smaller = (
        load_skops(suite.store, each) for each in (version_of(suite, forest), version)
    )
    rows = np.random.default_rng(0).normal(size=(500, 4))
    [before], [after] = (
        list(each.predict({"features": rows}).values()) for each in (original, smaller)
    )
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.85


def test_the_analyzer_compares_before_and_after(
    suite: RunningSuite, pruned: pruner_pb2.PruningRun, forest: str
) -> None:
    """Of the version that was made; an analysis with that label, once the pruning is over."""
    analysis = suite.finish_analysis(pruned.comparison)
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error
    assert analysis.spec.model_version == forest
    assert list(analysis.spec.challengers) == [pruned.model_version]
    assert analysis.labels["pruning-run"] == pruned.name.rpartition("/")[2]
    request = analyzer_pb2.GetAnalysisResultsRequest(name=analysis.name)
    before, after = suite.analyses.GetAnalysisResults(request).comparison.versions
    assert after.costs.size_bytes < before.costs.size_bytes


def test_points_come_page_by_page(suite: RunningSuite, pruned: pruner_pb2.PruningRun) -> None:
    """Each once, the front first; what is recommended names its version."""
    found = points_of(suite, pruned.name, 1)
    assert found == points_of(suite, pruned.name)
    names = [each.name for each in found]
    assert len(set(names)) == len(names) == pruned.summary.point_count + 1
    versions = {each.name: each.model_version for each in found if each.model_version}
    assert versions == {pruned.summary.recommended: pruned.model_version}


def test_another_point_becomes_a_version_once(
    suite: RunningSuite, pruned: pruner_pb2.PruningRun
) -> None:
    """Without a new search; asked twice it is the same version. The original is none."""
    other = next(
        each.name
        for each in points_of(suite, pruned.name)
        if each.parent and not each.model_version
    )
    request = pruner_pb2.ApplyPointRequest(name=pruned.name, point=other)
    made = suite.pruning.ApplyPoint(request).model_version
    assert made == suite.pruning.ApplyPoint(request).model_version != pruned.model_version
    version = version_of(suite, made)
    load_skops(suite.store, version)
    assert pruned.name in version.lineage.inputs
    for point, code in (
        ("original", grpc.StatusCode.INVALID_ARGUMENT),
        ("other", grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            suite.pruning.ApplyPoint(pruner_pb2.ApplyPointRequest(name=pruned.name, point=point))
        assert caught.value.code() is code


def test_the_report_opens_as_a_page(suite: RunningSuite, pruned: pruner_pb2.PruningRun) -> None:
    """Plots are drawn, nothing is fetched, no complaint; it says what to take."""
    request = transfer_pb2.CreateArtifactUrlRequest(artifact=pruned.report)
    address = suite.transfers.CreateArtifactUrl(request).url
    with open_browser() as browser:
        browser.call("Page.navigate", url=address)
        browser.wait_for(f"document.querySelectorAll('.plot').length == 3 && {DRAWN}")
        text = browser.value("document.body.innerText")
        assert f"Take {pruned.summary.recommended}" in text
        assert pruned.summary.reasons[0] in text
        assert browser.requests() == [address]
        assert browser.complaints() == []


def test_a_graph_from_elsewhere_is_pruned(suite: RunningSuite, data: str) -> None:
    """An ONNX model stays one, and computes in ONNX Runtime."""
    graph = import_onnx(suite, data, "graph")
    target = pruner_pb2.PruningTarget(threads=2)
    methods = ["smaller_graph"]
    run = suite.prune(spec_of(graph, gain=pruner_pb2.GAIN_SIZE, target=target, methods=methods))
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.spec.target.runtime == pruner_pb2.PRUNING_RUNTIME_ONNX_RUNTIME
    assert run.summary.reasons
    for each in points_of(suite, run.name):
        assert each.latency.ToNanoseconds() > 0
        assert each.multiplications > 0 and each.multiplications_gain > 0
    if run.model_version:
        load_onnx(suite.store, version_of(suite, run.model_version))


def test_a_model_of_a_search_becomes_smaller(suite: RunningSuite, data: str) -> None:
    """Blends lose members; what stays has an ONNX twin where the original had one."""
    tuning = tuner_pb2.TuningSpec(
        dataset_version=data, model="models/blend", families=["random_forest", "linear"]
    )
    tuning.budget.FromSeconds(15)
    tuned = suite.tune(tuning)
    run = suite.prune(spec_of(tuned.model_version, metric="log_loss", max_loss=0.1, methods=TREES))
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.is_within
    original, version = (
        version_of(suite, each) for each in (tuned.model_version, run.model_version)
    )
    assert run.summary.point.latency_gain > 1
    has_twin = "onnx" in version.artifacts
    assert has_twin == ("onnx" in original.artifacts), run.summary.point.notes
    assert tuned.name in version.lineage.inputs, "it has learned from validation rows too"


def test_a_small_network_learns_what_a_forest_says(suite: RunningSuite, forest: str) -> None:
    """It answers much sooner, opens as a network of the trainer, and makes no other words of it."""
    spec = spec_of(forest, model="models/student", methods=["small_network"], max_loss=0.1)
    run = suite.prune(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.is_within and run.summary.point.latency_gain > 5
    version = version_of(suite, run.model_version)
    assert list(version.signature.classes) == list(version_of(suite, forest).signature.classes)
    load_package(suite.store, version)


def trainings_of(suite: RunningSuite, pruning: str) -> list[trainer_pb2.TrainingRun]:
    """Returns the trainings on workers that a pruning has made, the oldest first."""
    label = f"labels.pruning-run={pruning.rpartition('/')[2]}"
    request = trainer_pb2.ListTrainingRunsRequest(filter=label)
    return list(reversed(suite.training.ListTrainingRuns(request).training_runs))


def kills_worker(suite: RunningSuite, training: str) -> bool:
    """Kills a worker as soon as a training has done its first epochs; whether it came in time."""
    for event in suite.watch_run(training):
        workers = suite.workers("agent-1") if event.HasField("metrics") else []
        if workers:
            workers[0].kill()
            return True
    return False


@pytest.mark.timeout(600)
def test_a_network_becomes_narrower(suite: RunningSuite, data: str) -> None:
    """A package of the trainer stays one: the trainer can go on from it, everybody can load it."""
    network = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[256, 128]))
    training = trainer_pb2.TrainingSpec(
        dataset_version=data, model="models/net", network=network, epochs=15
    )
    original = suite.train(training).model_version
    spec = spec_of(original, methods=["fewer_units"], gain=pruner_pb2.GAIN_MULTIPLICATIONS)
    spec.budget.FromSeconds(5 * BUDGET)  # trainings are not begun that might not end in time
    run = suite.prune(spec)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.point_count >= 1
    # On a busy machine a training may take too long, and the pruning goes on by itself.
    assert all("in the pruning's own process instead" in each for each in run.summary.notes)
    point = run.summary.point
    assert run.summary.is_within and point.size_gain > 1
    assert run.summary.gain == point.multiplications_gain > 1
    trainings = trainings_of(suite, run.name)
    done = [each for each in trainings if each.status.state == run_pb2.RUN_STATE_SUCCEEDED]
    assert done if run.summary.notes else len(done) == run.summary.point_count + 1
    assert all(each.spec.distillation.teacher_model_version == original for each in trainings)
    assert trainings[0].spec.HasField("growing_decay"), "before anything is removed"
    events = " ".join(each.log_line.text for each in suite.watch_pruning(run.name))
    for words in ("driven towards zero", "Without some units", "on the trainer's workers"):
        assert words in events
    version = version_of(suite, run.model_version)
    load_package(suite.store, version)
    assert version.parameter_count < version_of(suite, original).parameter_count
    widths = version.network.mlp.hidden_widths
    assert list(widths) < [256, 128] and len(widths) == 2
    training.network.CopyFrom(version.network)
    training.parent_model_version = version.name
    training.epochs = 1
    assert suite.train(training).status.state == run_pb2.RUN_STATE_SUCCEEDED


@pytest.mark.timeout(600)
def test_nobody_trains_for_a_pruning_that_is_gone(suite: RunningSuite, data: str) -> None:
    """SIGKILL of its process: the next attempt ends what it left. So does a cancel."""
    network = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[64, 32]))
    training = trainer_pb2.TrainingSpec(
        dataset_version=data, model="models/left", network=network, epochs=2
    )
    spec = spec_of(suite.train(training).model_version, methods=["fewer_units"])
    spec.budget.FromSeconds(1200)
    spec.fine_tuning.epochs = 1000
    name = suite.create_pruning(spec)
    killed = ""
    for event in suite.watch_pruning(name):
        text = event.log_line.text
        if not text.startswith("trainingRuns/"):
            continue
        if killed:
            assert not text.startswith(killed)
            break
        killed = text.partition(" ")[0]
        suite.job(name).kill()
    assert suite.finish_run(killed).status.state == run_pb2.RUN_STATE_CANCELLED
    suite.pruning.CancelPruningRun(pruner_pb2.CancelPruningRunRequest(name=name))
    assert suite.finish_pruning(name).status.state == run_pb2.RUN_STATE_CANCELLED
    assert len(trainings_of(suite, name)) == 2
    for each in trainings_of(suite, name):
        assert suite.finish_run(each.name).status.state == run_pb2.RUN_STATE_CANCELLED


def test_a_killed_pruning_goes_on(suite: RunningSuite, forest: str) -> None:
    """SIGKILL of its process: another attempt goes on after the steps that were done before."""
    name = suite.create_pruning(spec_of(forest, model="models/killed"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line") and "loses" in event.log_line.text:
            break
    suite.job(name).kill()
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 2
    listed = model_pb2.ListModelVersionsRequest(parent="models/killed")
    versions = suite.models.ListModelVersions(listed).model_versions
    assert [each.name for each in versions] == [run.model_version]


@pytest.mark.timeout(600)
def test_a_pruning_killed_in_each_step_loses_that_step_alone(
    suite: RunningSuite, forest: str
) -> None:
    """SIGKILL while it loads, in every method it tries, and while it publishes."""
    spec = spec_of(forest, model="models/killed-often")
    spec.budget.FromSeconds(6 * BUDGET)
    name = suite.create_pruning(spec)
    seen, killed = set[str](), set[int]()
    for event in suite.watch_pruning(name):
        text = event.log_line.text
        moment = text if _BEGINS in text else event.progress.stage
        if moment and moment not in seen and event.attempt not in killed:
            seen.add(moment)
            killed.add(event.attempt)
            with suppress(psutil.NoSuchProcess):  # the last one may be done by then
                suite.job(name).kill()
    run = suite.get_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert {"loading", "publishing"} <= seen
    begun = defaultdict[int, list[str]](list)
    for event in suite.watch_pruning(name):
        if _BEGINS in event.log_line.text:
            begun[event.attempt].append(event.log_line.text)
    steps = {each for each in seen if _BEGINS in each}
    assert len(steps) >= 3
    lost = Counter(each[-1] for attempt, each in begun.items() if attempt != run.status.attempt)
    done = Counter(each for own in begun.values() for each in own)
    assert all(count <= lost[step] + 1 for step, count in done.items()), "done again"
    listed = model_pb2.ListModelVersionsRequest(parent="models/killed-often")
    versions = suite.models.ListModelVersions(listed).model_versions
    assert [each.name for each in versions] == [run.model_version]


@pytest.mark.timeout(600)
def test_a_worker_that_dies_costs_a_pruning_nothing(suite: RunningSuite, data: str) -> None:
    """The trainer goes on from the last commit, and the pruning hears nothing of it."""
    network = network_pb2.NetworkSpec(mlp=network_pb2.MlpNetwork(hidden_widths=[128, 64]))
    training = trainer_pb2.TrainingSpec(
        dataset_version=data, model="models/worn", network=network, epochs=10
    )
    original = suite.train(training).model_version
    spec = spec_of(original, methods=["fewer_units"], gain=pruner_pb2.GAIN_SIZE)
    spec.budget.FromSeconds(5 * BUDGET)
    spec.fine_tuning.epochs = 40
    spec.kept_layers.append("layers.0")
    name, killed = suite.create_pruning(spec), False
    for event in suite.watch_pruning(name):
        if not killed and event.log_line.source == "training":
            killed = kills_worker(suite, event.log_line.text.partition(" ")[0])
    run = suite.get_pruning(name)
    assert killed and run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    first = trainings_of(suite, name)[0]
    assert first.status.state == run_pb2.RUN_STATE_SUCCEEDED, first.status.error
    assert version_of(suite, run.model_version).network.mlp.hidden_widths[0] == 128
    assert version_of(suite, run.model_version).network.mlp.hidden_widths[1] < 64


def test_a_frozen_pruning_goes_on(suite: RunningSuite, forest: str) -> None:
    """SIGSTOP of its process: another attempt takes over, and the frozen one can do no harm."""
    name = suite.create_pruning(spec_of(forest, model="models/frozen"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line") and "loses" in event.log_line.text:
            break
    frozen = suite.job(name)
    frozen.suspend()
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.status.attempt == 2
    assert not frozen.is_running()


def test_a_cancelled_pruning_keeps_points_that_can_be_applied(
    suite: RunningSuite, forest: str
) -> None:
    """Protects what was measured from a change of mind."""
    name = suite.create_pruning(spec_of(forest, model="models/cancelled"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line") and "loses" in event.log_line.text:
            break
    suite.pruning.CancelPruningRun(pruner_pb2.CancelPruningRunRequest(name=name))
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_CANCELLED
    assert not run.model_version and run.summary.point_count >= 1
    point = next(each for each in points_of(suite, name) if each.parent)
    request = pruner_pb2.ApplyPointRequest(name=name, point=point.name)
    applied = suite.pruning.ApplyPoint(request).model_version
    assert applied.startswith("models/cancelled/versions/")
    load_skops(suite.store, version_of(suite, applied))


def test_a_pruned_model_is_pruned_again(suite: RunningSuite, pruned: pruner_pb2.PruningRun) -> None:
    """What came of a pruning is a model like any other: its sizes are what the next starts from."""
    run = suite.prune(spec_of(pruned.model_version, model="models/again"))
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.original.size_bytes == pruned.summary.point.size_bytes
    assert run.spec.dataset_version == pruned.spec.dataset_version


def test_a_pruning_outlives_the_service(suite: RunningSuite, forest: str) -> None:
    """SIGKILL of the service: it goes on."""
    name = suite.create_pruning(spec_of(forest, model="models/outliving"))
    for event in suite.watch_pruning(name):
        if event.HasField("log_line"):
            break
    suite.supervised("pruner").kill()
    run = suite.finish_pruning(name)
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error


def test_what_is_wrong_is_named_before_anything_is_stored(suite: RunningSuite, forest: str) -> None:
    for spec, field in (
        (spec_of(""), "model_version"),
        (spec_of("models/none/versions/1"), "models/none/versions/1"),
        (spec_of(forest, metric="rmse"), "metric"),
        (spec_of(forest, methods=["smaller_graph"]), "methods[0]"),
        (spec_of(forest, max_loss=-1.0), "max_loss"),
        (spec_of(forest, kept_layers=["head"]), "kept_layers[0]"),
        (spec_of(forest, importance=pruner_pb2.IMPORTANCE_FISHER), "importance"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            suite.create_pruning(spec)
        assert field in str(caught.value.details())


def test_a_model_with_prunings_is_not_deleted(
    suite: RunningSuite, pruned: pruner_pb2.PruningRun
) -> None:
    """Nor a pruning that versions come from: their files are its."""
    with pytest.raises(grpc.RpcError) as caught:
        suite.pruning.DeletePruningRun(pruner_pb2.DeletePruningRunRequest(name=pruned.name))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    version = version_of(suite, pruned.model_version)
    assert b"".join(read_artifact(suite.store, version.artifacts["skops"]))
