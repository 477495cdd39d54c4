"""What an analysis is asked for is checked against models and data before work starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from aimass.analyzer.v1 import analyzer_pb2, resolver_pb2
from aimass.catalog.v1 import dataset_pb2, model_pb2
from common.artifacts.memory import MemoryStore
from common.errors import InvalidInputError
from services.analyzer.resolver.resolving import Resolving
from tests.unit.analyzer_service.models import (
    COLUMNS,
    TARGET,
    estimator,
    flowers,
    package,
    stored,
)

Change = Callable[["Question"], None]


@dataclass
class Question:
    """A question to the resolver, to be changed by tests."""

    store: MemoryStore
    folder: Path
    spec: analyzer_pb2.AnalysisSpec
    versions: list[model_pb2.ModelVersion]
    data: dataset_pb2.DatasetVersion
    is_comparison: bool = False

    def resolve(self) -> analyzer_pb2.Analysis:
        """Returns what the resolver answers."""
        question = resolver_pb2.ResolveAnalysis(
            spec=self.spec,
            model_versions=self.versions,
            dataset_version=self.data,
            is_comparison=self.is_comparison,
        )
        answer = Resolving(self.store).answer(question.SerializeToString())
        return analyzer_pb2.Analysis.FromString(answer)


@pytest.fixture
def question(tmp_path: Path) -> Question:
    store = MemoryStore()
    data = stored(store, tmp_path)
    return Question(store, tmp_path, analyzer_pb2.AnalysisSpec(), [package(store)], data)


def complaint(question: Question) -> tuple[str, str]:
    """Returns field and description of the error."""
    with pytest.raises(InvalidInputError) as raised:
        question.resolve()
    [violation] = raised.value.violations
    return violation.field, violation.description


def test_defaults_are_filled_in(question: Question) -> None:
    analysis = question.resolve()
    spec = analysis.spec
    assert spec.model_version == "models/m/versions/1"
    assert spec.dataset_version == "datasets/flowers/versions/1"
    assert len(spec.parts) == 9
    assert spec.evaluated_rows == analyzer_pb2.EVALUATED_ROWS_TEST
    assert spec.metric == analyzer_pb2.ANALYSIS_METRIC_ACCURACY
    assert (spec.budget.seconds, spec.rows, spec.seed) == (90, 30, 0)
    assert 0 < analysis.estimate.duration.seconds < 140
    assert analysis.estimate.memory_bytes > 2**28


def test_resolving_again_changes_nothing(question: Question) -> None:
    once = question.resolve().spec
    question.spec = once
    assert question.resolve().spec == once


def test_comparisons_have_no_parts_of_one_model(question: Question) -> None:
    question.versions.append(package(question.store, "models/m/versions/2"))
    question.spec.challengers.append("models/m/versions/2")
    question.is_comparison = True
    parts = {each.part for each in question.resolve().spec.parts}
    assert analyzer_pb2.ANALYSIS_PART_HEALTH not in parts
    assert analyzer_pb2.ANALYSIS_PART_BEHAVIOUR in parts


def test_without_a_split_all_rows_count(question: Question) -> None:
    rows = 40
    data = stored(question.store, question.folder, flowers(rows), np.zeros(rows, np.uint8))
    question.data = data
    assert question.resolve().spec.evaluated_rows == analyzer_pb2.EVALUATED_ROWS_ALL


def test_estimators_are_opened_too(question: Question) -> None:
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    question.versions = [estimator(question.store, LogisticRegression().fit(values, data[TARGET]))]
    assert question.resolve().spec.metric == analyzer_pb2.ANALYSIS_METRIC_ACCURACY


def _other_columns(question: Question) -> None:
    columns = {
        ("length" if name == "height" else f"{name}2"): values for name, values in flowers().items()
    }
    question.data = stored(question.store, question.folder, columns, target="size2")


def _text_for_number(question: Question) -> None:
    columns = flowers()
    columns["width"] = np.array(["wide", "slim"] * 60, dtype=object)
    question.data = stored(question.store, question.folder, columns)


def _other_labels(question: Question) -> None:
    columns = flowers()
    columns[TARGET] = np.array(["red", "blue"] * 60, dtype=object)
    question.data = stored(question.store, question.folder, columns)


def _one_row(question: Question) -> None:
    columns = {name: values[:1] for name, values in flowers().items()}
    question.data = stored(question.store, question.folder, columns, np.zeros(1, np.uint8))


def _no_validation(question: Question) -> None:
    question.data = stored(question.store, question.folder, parts=np.zeros(120, np.uint8))
    question.spec.evaluated_rows = analyzer_pb2.EVALUATED_ROWS_VALIDATION


def _detector(question: Question) -> None:
    question.versions[0].format = model_pb2.MODEL_FORMAT_DETECTOR


def _forecaster(question: Question) -> None:
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    question.versions = [estimator(question.store, LinearRegression().fit(values, values[:, 0]))]
    question.versions[0].task = dataset_pb2.TASK_FORECASTING


def _forecasting_network(question: Question) -> None:
    question.versions[0].task = dataset_pb2.TASK_FORECASTING


def _unknown_layer(question: Question) -> None:
    question.spec.layers.append("layers.7")


def _unknown_feature(question: Question) -> None:
    question.spec.features.append("depth")


def _row_too_far(question: Question) -> None:
    question.spec.what_if_row = 120


def _metric_of_regression(question: Question) -> None:
    question.spec.metric = analyzer_pb2.ANALYSIS_METRIC_R2


def _part_twice(question: Question) -> None:
    for _ in range(2):
        question.spec.parts.add(part=analyzer_pb2.ANALYSIS_PART_WEIGHTS)


def _unknown_part(question: Question) -> None:
    question.spec.parts.add(part=analyzer_pb2.AnalysisPart.ValueType(99))


def _short_budget(question: Question) -> None:
    question.spec.budget.seconds = 1


def _too_few_columns(question: Question) -> None:
    fitted = LogisticRegression().fit(np.eye(5), [0, 1, 0, 1, 0])
    question.versions = [estimator(question.store, fitted)]


def _health_in_a_comparison(question: Question) -> None:
    question.versions.append(package(question.store, "models/m/versions/2"))
    question.spec.challengers.append("models/m/versions/2")
    question.spec.parts.add(part=analyzer_pb2.ANALYSIS_PART_HEALTH)
    question.is_comparison = True


def _other_task(question: Question) -> None:
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    fitted = LinearRegression().fit(values, values[:, 0])
    question.versions.append(estimator(question.store, fitted))
    question.spec.challengers.append("models/s/versions/1")
    question.is_comparison = True


def _text_for_the_target_of_a_regression(question: Question) -> None:
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    fitted = LinearRegression().fit(values, values[:, 0])
    question.versions = [estimator(question.store, fitted)]


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        (_text_for_the_target_of_a_regression, "analysis.spec.dataset_version", "must be numeric"),
        (_other_columns, "analysis.spec.dataset_version", "it has length2"),
        (_text_for_number, "analysis.spec.dataset_version", "categorical"),
        (_other_labels, "analysis.spec.dataset_version", "big, small"),
        (_one_row, "analysis.spec.evaluated_rows", "needs 10"),
        (_no_validation, "analysis.spec.evaluated_rows", "it has 120 train"),
        (_detector, "analysis.spec.model_version", "detector"),
        (_forecaster, "analysis.spec.model_version", "the task forecasting"),
        (_forecasting_network, "analysis.spec.model_version", "name a model for classification"),
        (_unknown_layer, "analysis.spec.layers[0]", "it has layers.0"),
        (_unknown_feature, "analysis.spec.features[0]", "it takes length, width, height"),
        (_row_too_far, "analysis.spec.what_if_row", "0 to 119"),
        (_metric_of_regression, "analysis.spec.metric", "use ACCURACY"),
        (_part_twice, "analysis.spec.parts", "WEIGHTS twice"),
        (_unknown_part, "analysis.spec.parts[0].part", "STRUCTURE, "),
        (_short_budget, "analysis.spec.budget", "must be at least 5"),
        (_too_few_columns, "analysis.spec.dataset_version", "takes 5"),
        (_health_in_a_comparison, "options.parts[0].part", "one model alone"),
        (_other_task, "model_versions[1]", "regression"),
    ],
)
def test_what_does_not_fit_is_named_with_the_cure(
    question: Question, change: Change, field: str, told: str
) -> None:
    change(question)
    where, description = complaint(question)
    assert (where, told in description) == (field, True), description


def test_the_estimate_counts_rows_as_far_as_they_are_read(question: Question) -> None:
    """Rows take up to half a gigabyte, however many are asked for."""
    question.data.schema.columns.add(
        name="picture", type=dataset_pb2.COLUMN_TYPE_IMAGE, shape=[3, 224, 224]
    )
    question.data.split_counts.test = question.spec.rows = 100_000
    assert question.resolve().estimate.memory_bytes < 4 * 2**30


def test_one_row_is_enough_to_look_inside(question: Question) -> None:
    """Structure and weights need no rows."""
    _one_row(question)
    for part in (analyzer_pb2.ANALYSIS_PART_STRUCTURE, analyzer_pb2.ANALYSIS_PART_WEIGHTS):
        question.spec.parts.add(part=part)
    assert len(question.resolve().spec.parts) == 2


def test_data_without_a_target_can_be_looked_at(question: Question) -> None:
    """A model from elsewhere does without a target; what needs one says so in the report."""
    data = flowers()
    values = np.column_stack([data[name] for name in COLUMNS])
    fitted = LogisticRegression().fit(values, data.pop(TARGET))
    question.versions = [estimator(question.store, fitted)]
    question.data = stored(question.store, question.folder, data, target="")
    assert question.resolve().spec.rows == 30


def test_no_metric_is_promised_without_a_target(question: Question) -> None:
    """Asked for by name it is refused; else the parts show what can be shown without."""
    data = flowers()
    data.pop(TARGET)
    question.data = stored(question.store, question.folder, data, target="")
    question.spec = question.resolve().spec
    assert question.spec.metric == analyzer_pb2.ANALYSIS_METRIC_UNSPECIFIED
    assert question.resolve().spec == question.spec
    question.spec.metric = analyzer_pb2.ANALYSIS_METRIC_ACCURACY
    where, description = complaint(question)
    assert where == "analysis.spec.metric"
    assert "does not have the target" in description
