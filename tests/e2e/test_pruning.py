"""The pruner as its users meet it: models in, smaller versions out, and bad input."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import transfer_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from aimass.type.v1 import network_pb2, run_pb2
from common.artifacts.blobs import read_artifact
from common.models.onnx_model import load_onnx
from common.models.package import load_package
from common.models.skops_model import load_skops
from common.testing.suite import RunningSuite
from tests.e2e.analysis_data import import_onnx
from tests.e2e.pruning_data import (
    BUDGET,
    TREES,
    import_colours,
    import_forest,
    points_of,
    pruning_suite,
    spec_of,
    trainings_of,
    version_of,
)
from tests.support.browser import open_browser

# A test may learn a model, and prune it within the budget.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DRAWN = "[...document.querySelectorAll('.plot')].every(e => e.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite for prunings."""
    yield from pruning_suite(tmp_path_factory)


@pytest.fixture(scope="module")
def data(suite: RunningSuite) -> str:
    """Four numbers and a colour."""
    return import_colours(suite)


@pytest.fixture(scope="module")
def forest(suite: RunningSuite, data: str) -> str:
    """A forest from elsewhere."""
    return import_forest(suite, data)


@pytest.fixture(scope="module")
def pruned(suite: RunningSuite, forest: str) -> pruner_pb2.PruningRun:
    """A pruning of the forest with nothing but its name and a bound."""
    return suite.prune(spec_of(forest, methods=TREES, compare=True))


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


def test_a_pruned_model_is_pruned_again(suite: RunningSuite, pruned: pruner_pb2.PruningRun) -> None:
    """What came of a pruning is a model like any other: its sizes are what the next starts from."""
    run = suite.prune(spec_of(pruned.model_version, model="models/again"))
    assert run.status.state == run_pb2.RUN_STATE_SUCCEEDED, run.status.error
    assert run.summary.original.size_bytes == pruned.summary.point.size_bytes
    assert run.spec.dataset_version == pruned.spec.dataset_version


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
