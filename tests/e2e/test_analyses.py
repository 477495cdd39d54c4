"""The analyzer as its users meet it: analyses, comparisons, reports, bad input, and faults."""

import uuid
from collections.abc import Callable, Iterator

import grpc
import pytest

from aimass.analyzer.v1 import analyzer_pb2, health_pb2
from aimass.catalog.v1 import transfer_pb2
from aimass.outlier.v1 import detector_pb2, outlier_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import artifact_key
from common.calls import client
from common.local.plan import SuiteOptions
from common.testing.suite import RunningSuite, running_suite
from tests.e2e.analysis_data import (
    COLUMNS,
    import_forest,
    import_onnx,
    import_table,
    import_unlabelled,
    train,
)
from tests.support.browser import Browser, open_browser

pytestmark = pytest.mark.slow

DRAWN = "document.documentElement.dataset.drawn !== undefined"
STRUCTURE = analyzer_pb2.ANALYSIS_PART_STRUCTURE
WEIGHTS = analyzer_pb2.ANALYSIS_PART_WEIGHTS
ACTIVATIONS = analyzer_pb2.ANALYSIS_PART_ACTIVATIONS
IMPORTANCE = analyzer_pb2.ANALYSIS_PART_IMPORTANCE
RELATIONS = analyzer_pb2.ANALYSIS_PART_RELATIONS
CURVES = analyzer_pb2.ANALYSIS_PART_CURVES
BEHAVIOUR = analyzer_pb2.ANALYSIS_PART_BEHAVIOUR
ROBUSTNESS = analyzer_pb2.ANALYSIS_PART_ROBUSTNESS
HEALTH = analyzer_pb2.ANALYSIS_PART_HEALTH
BUDGET_SECONDS = 5
ALL = {
    each.name.removeprefix("ANALYSIS_PART_").lower()
    for each in analyzer_pb2.AnalysisPart.DESCRIPTOR.values
    if each.number
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """A suite whose analyzer has processes ready, as it has at its users'."""
    warm = {"AIMASS_ANALYZER_WARM": "true"}
    home = tmp_path_factory.mktemp("analyzer-suite")
    with running_suite(home, SuiteOptions(agents=1), warm) as running:
        yield running


@pytest.fixture(scope="module")
def data(suite: RunningSuite) -> str:
    """A table of four numbers and a colour."""
    return import_table(suite, "colours")


@pytest.fixture(scope="module")
def trained(suite: RunningSuite, data: str) -> str:
    """A network that was trained on it."""
    return train(suite, data, "net", epochs=12)


@pytest.fixture(scope="module")
def untrained(suite: RunningSuite, trained: str, data: str) -> str:
    """A later version of the network, which has seen the data once."""
    return train(suite, data, "net", epochs=1)


@pytest.fixture(scope="module")
def forest(suite: RunningSuite, data: str) -> str:
    """A forest of scikit-learn."""
    return import_forest(suite, data, "forest")


@pytest.fixture(scope="module")
def graph(suite: RunningSuite, data: str) -> str:
    """An ONNX model."""
    return import_onnx(suite, data, "graph")


def spec_of(
    model: str, *parts: analyzer_pb2.AnalysisPart.ValueType, **more: object
) -> analyzer_pb2.AnalysisSpec:
    """Returns a quick analysis of parts."""
    wanted = [analyzer_pb2.PartRequest(part=part) for part in parts]
    spec = analyzer_pb2.AnalysisSpec(model_version=model, parts=wanted, **more)  # type: ignore[arg-type]
    spec.budget.FromSeconds(BUDGET_SECONDS)
    return spec


@pytest.fixture(scope="module")
def scanned(suite: RunningSuite, data: str) -> outlier_pb2.OutlierScan:
    """A scan of the data, whose detector is kept."""
    histograms = detector_pb2.DetectorSpec(hbos=detector_pb2.Hbos())
    spec = outlier_pb2.OutlierScanSpec(
        dataset_version=data, detectors=[histograms], contamination=0.1
    )
    return suite.scan(spec)


@pytest.fixture(scope="module")
def analysed(
    suite: RunningSuite, trained: str, scanned: outlier_pb2.OutlierScan
) -> analyzer_pb2.Analysis:
    """An analysis of the network by all parts."""
    return suite.analyse(spec_of(trained))


@pytest.fixture(scope="module")
def compared(suite: RunningSuite, trained: str, untrained: str) -> analyzer_pb2.Analysis:
    """A comparison of the two versions of the network."""
    options = spec_of("", STRUCTURE, WEIGHTS, ACTIVATIONS, BEHAVIOUR)
    request = analyzer_pb2.CompareModelsRequest(
        model_versions=[trained, untrained], options=options, request_id=str(uuid.uuid4())
    )
    created = suite.analyses.CompareModels(request)
    assert suite.analyses.CompareModels(request).name == created.name
    return suite.finish_analysis(created.name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def results_of(
    suite: RunningSuite, name: str, *parts: analyzer_pb2.AnalysisPart.ValueType
) -> analyzer_pb2.AnalysisResults:
    """Returns the numbers of an analysis."""
    return suite.analyses.GetAnalysisResults(
        analyzer_pb2.GetAnalysisResultsRequest(name=name, parts=parts)
    )


def fields_of(results: analyzer_pb2.AnalysisResults) -> set[str]:
    """Returns the parts that there are results of."""
    return {field.name for field, _ in results.ListFields()}


def assert_done(analysis: analyzer_pb2.Analysis, *without: int) -> None:
    """Checks that an analysis and all its parts went well, but those there is nothing of."""
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error
    assert analysis.summary.verdict and analysis.summary.row_count > 0
    wanted = {each.part for each in analysis.spec.parts}
    assert {each.part for each in analysis.summary.parts} == wanted
    for each in analysis.summary.parts:
        name = analyzer_pb2.AnalysisPart.Name(each.part)
        if each.part in without:
            assert each.state == analyzer_pb2.PART_STATE_NOT_APPLICABLE, f"{name}: {each}"
            assert each.notes, name
        else:
            assert each.state == analyzer_pb2.PART_STATE_DONE, f"{name}: {each}"


def test_a_trained_network_is_analysed_by_all_parts(
    suite: RunningSuite,
    analysed: analyzer_pb2.Analysis,
    scanned: outlier_pb2.OutlierScan,
    data: str,
) -> None:
    """The main path: all parts find something; data and scan are found without being named."""
    assert_done(analysed)
    assert (analysed.spec.dataset_version, analysed.spec.outlier_scan) == (data, scanned.name)
    assert analysed.summary.metrics["accuracy"] > 0.7
    results = results_of(suite, analysed.name)
    assert fields_of(results) == ALL
    assert list(analysed.summary.findings) == list(results.health.findings)
    assert {each.column for each in results.importance.features[:2]} == {"a", "b"}
    assert results.behaviour.outliers.outlier_scan == scanned.name
    assert results.structure.parameter_count == 4 * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3
    assert set(analysed.status.lineage.inputs) >= {analysed.spec.model_version, data}


def test_only_wanted_parts_are_told(suite: RunningSuite, analysed: analyzer_pb2.Analysis) -> None:
    """A client that wants a number need not take all; a part that is none is refused."""
    assert fields_of(results_of(suite, analysed.name, WEIGHTS, CURVES)) == {"weights", "curves"}
    with pytest.raises(grpc.RpcError) as refused:
        results_of(suite, analysed.name, 99)  # type: ignore[arg-type]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "STRUCTURE" in str(refused.value.details())


def test_a_forest_of_scikit_learn_is_analysed(suite: RunningSuite, forest: str) -> None:
    """What it has no layers for is told of its trees, or is said not to be there."""
    parts = (STRUCTURE, WEIGHTS, IMPORTANCE, CURVES, BEHAVIOUR, HEALTH)
    analysis = suite.analyse(spec_of(forest, *parts))
    assert_done(analysis, CURVES)
    results = results_of(suite, analysis.name)
    assert fields_of(results) == {"structure", "weights", "importance", "behaviour", "health"}
    assert results.weights.trees.tree_count == 20


def test_an_onnx_model_is_analysed(suite: RunningSuite, graph: str) -> None:
    """Hidden values and robustness of a model without gradients."""
    parts = (STRUCTURE, WEIGHTS, ACTIVATIONS, ROBUSTNESS)
    analysis = suite.analyse(spec_of(graph, *parts, layers=["weighing"]))
    assert_done(analysis)
    results = results_of(suite, analysis.name)
    assert [each.name for each in results.structure.layers] == ["weighing", "choosing"]
    assert results.weights.weight_count == 12


def test_versions_are_compared(suite: RunningSuite, compared: analyzer_pb2.Analysis) -> None:
    """The version that was trained is found better; the same request gives the same comparison."""
    assert_done(compared)
    assert len(compared.spec.challengers) == 1
    results = results_of(suite, compared.name)
    assert results.comparison.verdict.best == compared.spec.model_version
    assert fields_of(results_of(suite, compared.name, STRUCTURE)) == {"comparison"}


@pytest.mark.parametrize("kind", ["analysed", "compared"])
def test_the_report_opens_from_the_store(
    suite: RunningSuite, kind: str, request: pytest.FixtureRequest, browser: Browser
) -> None:
    """By its address it opens as a page: plots are drawn, nothing is fetched, no complaint."""
    analysis = request.getfixturevalue(kind)
    address = suite.transfers.CreateArtifactUrl(
        transfer_pb2.CreateArtifactUrlRequest(artifact=analysis.report)
    ).url
    browser.events.clear()
    browser.call("Page.navigate", url=address)
    browser.wait_for(DRAWN)
    assert browser.value("document.querySelectorAll('.plot .main-svg').length") > 10
    assert browser.value("document.querySelectorAll('.plot').length") == browser.value(
        "[...document.querySelectorAll('.plot')].filter(e => e.querySelector('.main-svg')).length"
    )
    said = analysis.summary.verdict.replace("`", "")  # the page sets names apart as code
    assert said in browser.value("document.body.innerText")
    assert browser.requests() == [address]
    assert browser.complaints() == []


def refused(call: Callable[[], object]) -> str:
    """Returns why a request is refused."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(raised.value.details())


def test_data_that_do_not_fit_are_refused(suite: RunningSuite, trained: str, graph: str) -> None:
    """Other columns, no target, one row: the error names what is missing, or how many there are."""
    other = suite.import_dataset("others", "others.csv", b"x,y\n" + b"1,2\n3,4\n" * 20)
    unlabelled = import_unlabelled(suite, "colourless")
    single = import_unlabelled(suite, "single", rows=1)

    def why(model: str, version: str, **more: object) -> str:
        spec = spec_of(model, dataset_version=version, **more)
        return refused(lambda: suite.create_analysis(spec))

    for model in (trained, graph):
        assert "analysis.spec.dataset_version" in why(model, other)
    metric = analyzer_pb2.ANALYSIS_METRIC_ACCURACY
    assert "does not have the target" in why(trained, unlabelled, metric=metric)
    assert "has 1 all rows, and an analysis needs 10" in why(graph, single)


def test_parts_layers_and_columns_that_are_not_there_are_refused(
    suite: RunningSuite, trained: str
) -> None:
    """Whoever mistypes a name is told the names that there are."""

    def why(*parts: int, **more: object) -> str:
        return refused(lambda: suite.create_analysis(spec_of(trained, *parts, **more)))  # type: ignore[arg-type]

    layer = why(layers=["nope"])
    assert "analysis.spec.layers[0]" in layer and "has no layer `nope`; it has " in layer
    column = why(features=["a", "nope"])
    assert "analysis.spec.features[1]" in column
    assert all(name in column for name in COLUMNS)
    assert "analysis.spec.parts" in why(99)
    assert "names WEIGHTS twice" in why(WEIGHTS, WEIGHTS)


def test_a_detector_is_not_analysed(suite: RunningSuite, scanned: outlier_pb2.OutlierScan) -> None:
    """A model that is none of the formats is refused by what it is."""
    why = refused(lambda: suite.create_analysis(spec_of(scanned.model_version)))
    assert "analysis.spec.model_version" in why
    assert "is a detector" in why


def test_versions_that_cannot_be_compared_are_refused(
    suite: RunningSuite, trained: str, forest: str
) -> None:
    """One version, one twice, and parts of single models, by the fields of CompareModels."""

    def why(*models: str, part: int = STRUCTURE) -> str:
        options = spec_of("", part)  # type: ignore[arg-type]
        request = analyzer_pb2.CompareModelsRequest(model_versions=models, options=options)
        return refused(lambda: suite.analyses.CompareModels(request))

    assert "model_versions" in why(trained)
    assert "twice" in why(trained, trained)
    assert "options.parts[0].part" in why(trained, forest, part=HEALTH)


def test_weights_that_are_no_numbers_are_named(suite: RunningSuite, data: str) -> None:
    """What needs outputs fails by name, what does not is whole, and health says which tensor."""
    broken = import_onnx(suite, data, "broken", broken=True)
    analysis = suite.analyse(spec_of(broken, WEIGHTS, BEHAVIOUR, HEALTH))
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status.error
    states = {each.part: each.state for each in analysis.summary.parts}
    assert states[WEIGHTS] == states[HEALTH] == analyzer_pb2.PART_STATE_DONE
    assert states[BEHAVIOUR] == analyzer_pb2.PART_STATE_FAILED
    assert list(results_of(suite, analysis.name).weights.broken_tensors) == ["w"]
    gravest = analysis.summary.findings[0]
    assert gravest.severity == health_pb2.SEVERITY_PROBLEM
    assert gravest.cure


def begun(suite: RunningSuite, model: str) -> str:
    """Starts an analysis of some seconds. Returns its name once it is amid the parts."""
    name = suite.create_analysis(spec_of(model, BEHAVIOUR, IMPORTANCE, ROBUSTNESS))
    request = analyzer_pb2.WatchAnalysisRequest(name=name)
    events = client.watch(suite.analyses.WatchAnalysis, request)
    next(event for event in events if event.progress.fraction > 0.1)
    return name


def test_cancelled_analyses_can_be_deleted(
    suite: RunningSuite, trained: str, analysed: analyzer_pb2.Analysis
) -> None:
    """Its process is gone once it is CANCELLED; with an analysis goes its report."""
    name = begun(suite, trained)
    job = suite.job(name)
    suite.analyses.CancelAnalysis(analyzer_pb2.CancelAnalysisRequest(name=name))
    assert suite.finish_analysis(name).status.state == run_pb2.RUN_STATE_CANCELLED
    assert not job.is_running() or job.status() == "zombie"
    suite.analyses.DeleteAnalysis(analyzer_pb2.DeleteAnalysisRequest(name=name))
    with pytest.raises(grpc.RpcError) as missing:
        suite.get_analysis(name)
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert not list(suite.store.list(f"runs/{name}/"))
    assert suite.store.stat(artifact_key(suite.store, analysed.report)).size > 0


@pytest.mark.parametrize("victim", ["job", "analyzer"])
def test_a_killed_analysis_ends_all_the_same(
    suite: RunningSuite, trained: str, victim: str
) -> None:
    """SIGKILL of its process: another attempt begins anew. Of the service: its process goes on."""
    name = begun(suite, trained)
    (suite.job(name) if victim == "job" else suite.supervised(victim)).kill()
    analysis = suite.finish_analysis(name)
    assert_done(analysis)
    assert analysis.status.attempt == (2 if victim == "job" else 1)
    assert fields_of(results_of(suite, name)) == {"behaviour", "importance", "robustness"}
