"""An analysis from its record to what it publishes, on a store in memory."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from aimass.analyzer.v1 import analyzer_pb2, resolver_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from aimass.type.v1 import run_pb2
from common.artifacts.blobs import put_artifact, read_artifact
from common.artifacts.memory import MemoryStore
from common.artifacts.reference import ArtifactReference
from common.errors import AimassError
from common.records import RecordStore
from common.runs.owner import RunOwner
from common.testing.datasets import Array, text_array
from services.analyzer import job, loading
from services.analyzer.domain.part import PartName
from services.analyzer.domain.specification import (
    AnalysisSpecification,
    EvaluatedRows,
    PartRequest,
)
from services.analyzer.kind import ANALYSES
from services.analyzer.resolver.resolving import Resolving
from tests.support.asking import AskedCatalog
from tests.support.training import Desk
from tests.unit.analyzer_service.models import (
    COLUMNS,
    TARGET,
    estimator,
    flowers,
    package,
    stored,
    thirds,
)

NAME = "analyses/a"


@dataclass
class FakeCatalog(AskedCatalog):
    """Knows one data set version and some models."""

    data: dataset_pb2.DatasetVersion
    models: dict[str, model_pb2.ModelVersion]

    async def dataset_version(self, name: str) -> dataset_pb2.DatasetVersion:
        """Returns the data."""
        return self.data

    async def model_version(self, name: str) -> model_pb2.ModelVersion:
        """Returns a model."""
        return self.models[name]


@dataclass
class Bench:
    """A store with an analysis to work on."""

    store: MemoryStore
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def analyse(
        self,
        *versions: model_pb2.ModelVersion,
        data: dataset_pb2.DatasetVersion | None = None,
        **spec: object,
    ) -> analyzer_pb2.Analysis:
        """Resolves and works on an analysis of models. Returns it as it is then."""
        data = data or stored(self.store, self.folder)
        catalog = FakeCatalog(data, {each.name: each for each in versions})
        self.monkeypatch.setattr(loading, "ask_catalog", catalog.ask)
        question = resolver_pb2.ResolveAnalysis(
            spec=analyzer_pb2.AnalysisSpec(
                challengers=[each.name for each in versions[1:]],
                **spec,  # type: ignore[arg-type]
            ),
            model_versions=versions,
            dataset_version=data,
            is_comparison=len(versions) > 1,
        )
        answer = Resolving(self.store).answer(question.SerializeToString())
        analysis = analyzer_pb2.Analysis.FromString(answer)
        analysis.name = NAME
        analysis.status.state = run_pb2.RUN_STATE_PENDING
        analysis.status.create_time.GetCurrentTime()
        RecordStore(self.store).create(analysis)
        owner = RunOwner.acquire(ANALYSES, NAME, self.store)
        try:
            job.run_analysis(owner)
        finally:
            if not owner.ended:
                owner.abandon()
        return RecordStore(self.store).get(NAME, analyzer_pb2.Analysis).resource

    def results(self, analysis: analyzer_pb2.Analysis) -> analyzer_pb2.AnalysisResults:
        """Returns what an analysis found."""
        content = b"".join(read_artifact(self.store, analysis.results))
        return analyzer_pb2.AnalysisResults.FromString(content)

    def report(self, analysis: analyzer_pb2.Analysis) -> str:
        """Returns the report of an analysis."""
        return b"".join(read_artifact(self.store, analysis.report)).decode()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(MemoryStore(), tmp_path, monkeypatch)


def fitted(store: MemoryStore) -> model_pb2.ModelVersion:
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    return estimator(store, LogisticRegression().fit(values, data[TARGET]))


def states(analysis: analyzer_pb2.Analysis) -> dict[str, str]:
    return {
        analyzer_pb2.AnalysisPart.Name(each.part)
        .removeprefix("ANALYSIS_PART_")
        .lower(): analyzer_pb2.PartState.Name(each.state).removeprefix("PART_STATE_").lower()
        for each in analysis.summary.parts
    }


def test_a_package_is_shown_whole(bench: Bench) -> None:
    """Every part is done or says why not; results, report and summary belong together."""
    analysis = bench.analyse(package(bench.store))
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED
    found = states(analysis)
    assert set(found) == set(PartName)
    assert "failed" not in found.values(), analysis.summary.parts
    done = {name for name, state in found.items() if state == "done"}
    assert {field.name for field, _ in bench.results(analysis).ListFields()} == done
    assert analysis.summary.row_count == 30
    assert "accuracy" in analysis.summary.metrics
    assert "rows right" in analysis.summary.verdict
    assert "models/m/versions/1" in bench.report(analysis)


@pytest.mark.parametrize(
    "kind", ["residual_mlp", "ft_transformer", "embedding_bag", "text_transformer"]
)
def test_networks_of_tables_and_texts_are_shown_whole(bench: Bench, kind: str) -> None:
    """Every kind that the trainer has: columns, categories and texts go in, nothing fails."""
    generator = np.random.default_rng(0)
    number, rows = generator.normal(size=120), 120
    city = generator.choice(np.array(["a", "b"], object), rows)
    columns: dict[str, Array] = {"number": number, "city": city}
    if "text" in kind or "bag" in kind:
        words = np.where(number > 0, "warm and sunny", "cold and dark")
        columns["note"] = text_array([f"{each} {place}" for place, each in enumerate(words)])
    columns[TARGET] = np.where(number > 0, "big", "small").astype(object)
    desk = Desk(bench.folder, bench.store)
    data = desk.dataset(columns, thirds(rows), TARGET)
    training = desk.job(data, {"network": {kind: {"width": 8}}, "epochs": 2})
    desk.train(training)
    version = desk.package(training)
    del version.artifacts["history"]  # which would ask for earlier versions
    analysis = bench.analyse(version, data=data)
    assert analysis.status.state == run_pb2.RUN_STATE_SUCCEEDED, analysis.status
    assert "failed" not in states(analysis).values(), analysis.summary.parts
    assert states(analysis)["importance"] == "done"
    importance = bench.results(analysis).importance
    assert {each.column for each in importance.features} == columns.keys() - {TARGET}


def test_a_model_with_broken_weights_is_still_looked_into(bench: Bench) -> None:
    """What needs numbers says so; the weights name the layer; health says what to do."""
    analysis = bench.analyse(package(bench.store, is_broken=True))
    found = states(analysis)
    assert found["weights"] == found["structure"] == found["health"] == "done"
    assert found["behaviour"] == "failed"
    notes = {each.part: " ".join(each.notes) for each in analysis.summary.parts}
    assert "NaN" in notes[analyzer_pb2.ANALYSIS_PART_BEHAVIOUR]
    broken = [each for each in analysis.summary.findings if each.rule == "broken_weights"]
    assert "layers.0" in broken[0].problem
    assert "NaN" in analysis.summary.verdict


def test_versions_of_different_formats_are_compared(bench: Bench) -> None:
    analysis = bench.analyse(fitted(bench.store), package(bench.store))
    assert "failed" not in states(analysis).values(), analysis.summary.parts
    results = bench.results(analysis)
    assert results.comparison.challengers[0].model_version == "models/m/versions/1"
    assert analysis.summary.verdict == results.comparison.verdict.text
    assert "compared" in bench.report(analysis)


def test_only_what_is_asked_for_is_done(bench: Bench) -> None:
    part = analyzer_pb2.PartRequest(part=analyzer_pb2.ANALYSIS_PART_WEIGHTS)
    analysis = bench.analyse(package(bench.store), parts=[part])
    assert states(analysis) == {"weights": "done"}


def test_where_all_parts_fail_so_does_the_run(bench: Bench) -> None:
    part = analyzer_pb2.PartRequest(part=analyzer_pb2.ANALYSIS_PART_BEHAVIOUR)
    with pytest.raises(AimassError, match="NaN"):
        bench.analyse(package(bench.store, is_broken=True), parts=[part])


def test_curves_of_earlier_versions_and_scores_of_scans_may_be_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are deleted between the request and the work, and are not what matters."""
    store = MemoryStore()
    table = pa.table({"epoch": [1, 2], "train/loss": [2.0, 1.0]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    earlier, newest = (
        model_pb2.ModelVersion(name=f"models/m/versions/{number}") for number in (1, 2)
    )
    for each in (earlier, newest):
        reference = put_artifact(store, f"{each.name}/history", buffer.getvalue(), "x")
        each.artifacts["history"].CopyFrom(reference)
    store.delete(f"{earlier.name}/history")
    monkeypatch.setattr(loading, "ask_catalog", lambda question: [newest, earlier])
    assert [each.name for each in loading._histories(newest, store)] == [newest.name]
    gone = ArtifactReference(
        uri=earlier.artifacts["history"].uri, sha256="0" * 64, size_bytes=len(buffer.getvalue())
    )
    specification = AnalysisSpecification(outlier_scan="outlierScans/s", outlier_scores=gone)
    assert loading._outliers(specification, np.arange(3), store) is None


def test_too_few_rows_with_a_truth_are_told() -> None:
    specification = AnalysisSpecification(
        parts=(PartRequest(part=PartName.BEHAVIOUR),), evaluated_rows=EvaluatedRows.TEST
    )
    with pytest.raises(AimassError, match="Only 3 of 50 test rows"):
        loading._check_rows(specification, 3, 50)
    loading._check_rows(specification, 10, 50)
    loading._check_rows(specification, 4, 4)


def test_metrics_of_a_model_without_probabilities_need_none(bench: Bench) -> None:
    """A log-loss of classes without probabilities says nothing."""
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    model = estimator(bench.store, LinearSVC().fit(values, data[TARGET]))
    part = analyzer_pb2.PartRequest(part=analyzer_pb2.ANALYSIS_PART_BEHAVIOUR)
    metrics = bench.analyse(model, parts=[part]).summary.metrics
    assert "accuracy" in metrics
    assert not {"log_loss", "roc_auc"} & set(metrics)
