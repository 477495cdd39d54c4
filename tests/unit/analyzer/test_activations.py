"""What is found in hidden layers, against what is known or computed otherwise."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from sklearn.ensemble import RandomForestRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from aimass.analyzer.v1 import activations_pb2
from common.data.schema import Column, ColumnType, Task
from common.models.preprocessing import CategoricalColumn, NumericColumn, Preprocessing, Target
from common.networks.specification import NetworkSpecification
from common.protobuf import from_plain
from common.reports.report import Plot, Section
from services.analyzer.domain.activations.analysis import analyse_activations
from services.analyzer.domain.activations.findings import (
    ActivationsFindings,
    LayerActivations,
    MapMethod,
)
from services.analyzer.domain.activations.page import show_activations
from services.analyzer.domain.activations.pictures import MOST_BYTES
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import UnusableModelError
from services.analyzer.domain.layers import onnx_file
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.representation import hidden_activations
from services.analyzer.domain.settings import AnalysisSettings
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    breast_cancer,
    diabetes,
    numeric_columns,
    sample_of,
    sklearn_model,
    subject_of,
    trained_cnn,
    trained_mlp,
    trained_package,
)
from tests.unit.analyzer.activations_support import onnx_convolution


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_mlp(tmp_path_factory.mktemp("mlp"), epochs=10)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    subject = trained_cnn(tmp_path_factory.mktemp("cnn"))
    return replace(subject, sample=subject.sample.take(slice(0, 250)))


def analysed(subject: Subject, seconds: float = 30.0) -> ActivationsFindings:
    """Returns findings that make a message and a section."""
    findings = analyse_activations(subject, Budget(seconds))
    message = from_plain(asdict(findings.summary), activations_pb2.ActivationsResult)
    assert message.row_count == findings.summary.row_count
    assert message.ByteSize() < 200_000
    assert show_activations(findings).parts
    return findings


def plots_of(section: Section) -> list[Plot]:
    return [part for below in section.subsections for part in below.parts if isinstance(part, Plot)]


def by_name(findings: ActivationsFindings) -> dict[str, LayerActivations]:
    return {each.layer: each for each in findings.summary.layers}


def test_statistics_are_those_of_all_values(mlp: Subject) -> None:
    values = hidden_activations(mlp, mlp.sample.raw)["layers.3"].astype(np.float64)
    found = by_name(analysed(mlp))["layers.3"]
    assert (found.function, found.unit_count, found.position_count) == ("relu", 8, 1)
    measured = (found.mean, found.stddev, found.min, found.max, found.zero_share)
    expected = (values.mean(), values.std(), values.min(), values.max(), (values == 0).mean())
    assert measured == pytest.approx(expected, rel=1e-4)
    assert found.quantiles == pytest.approx(
        np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    )
    assert sum(found.histogram.counts) == values.size
    for unit in found.units:
        own = values[:, unit.unit]
        assert unit.mean == pytest.approx(own.mean(), rel=1e-4)
        assert unit.stddev == pytest.approx(own.std(), rel=1e-4)
        assert unit.top_rows[0].value == pytest.approx(own.max())
        assert mlp.sample.numbers[own.argmax()] == unit.top_rows[0].row
    spreads = values.std(axis=0)
    assert found.units[0].unit == spreads.argmax()


def test_a_class_is_named_that_units_answer_to(mlp: Subject) -> None:
    values = hidden_activations(mlp, mlp.sample.raw)["layers.3"]
    unit = by_name(analysed(mlp))["layers.3"].units[0]
    strongest = mlp.truth[np.argsort(-values[:, unit.unit], kind="stable")[:20]]
    assert unit.answers_to == ("malignant", "benign")[int(np.bincount(strongest).argmax())]
    assert unit.answers_to_share == np.bincount(strongest).max() / 20


def _with_weights(subject: Subject, name: str, change: object) -> Subject:
    """Returns a subject of a network one of whose layers was changed."""
    package = subject.model
    assert isinstance(package, TorchPackage)
    network = package._load()
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        change(layer)  # type: ignore[operator]
    model = TorchPackage(
        package.specification, package.preprocessing, package.weights, lambda: network
    )
    return replace(subject, model=model)


def test_dead_and_ever_active_units_are_found(mlp: Subject) -> None:
    def change(layer: nn.Linear) -> None:
        layer.bias[3] = -1e6
        layer.bias[5] = 1e6

    found = by_name(analysed(_with_weights(mlp, "layers.2", change)))["layers.3"]
    untouched = by_name(analysed(mlp))["layers.3"]
    assert 3 in found.dead_units
    assert found.dead_unit_count == len({*untouched.dead_units, 3})
    assert found.always_on_unit_count >= 1


def test_values_that_are_all_the_same_are_in_a_bin_of_some_width(mlp: Subject) -> None:
    """A layer of dead units: its zeros are in the bin that holds 0."""
    dead = _with_weights(mlp, "layers.2", lambda layer: layer.bias.fill_(-1e6))
    found = by_name(analysed(dead))["layers.3"]
    assert found.dead_unit_count == found.unit_count
    histogram = found.histogram
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    place = int(np.argmax(histogram.counts))
    assert edges[place] <= 0 < edges[place + 1]


def test_one_row_does_not_make_units_dead(mlp: Subject) -> None:
    """A rectifier leaves many units off for any row."""
    findings = analysed(replace(mlp, sample=mlp.sample.take(slice(0, 1))))
    assert sum(each.dead_unit_count for each in findings.summary.layers) == 0
    told = str(show_activations(findings).parts[0])
    assert "2 layers on 1 row; too few to tell" in told


def test_saturation_is_found(tmp_path: Path) -> None:
    def change(layer: nn.Linear) -> None:
        layer.weight *= 1e4

    subject = trained_mlp(tmp_path, 1, activation="tanh")
    found = by_name(analysed(_with_weights(subject, "layers.2", change)))["layers.3"]
    assert found.saturated_share == pytest.approx(1, abs=0.02)
    assert found.saturated_unit_count == 8
    assert by_name(analysed(subject))["layers.3"].saturated_share == pytest.approx(
        (np.abs(hidden_activations(subject, subject.sample.raw)["layers.3"]) > 0.9).mean()
    )


def test_huge_values_stay_finite(mlp: Subject) -> None:
    """Squares of values beyond 1e19 have no place in 32 bits."""

    def change(layer: nn.Linear) -> None:
        layer.weight *= 1e25

    subject = _with_weights(mlp, "layers.0", change)
    flat = _with_weights(subject, "layers.4", lambda layer: layer.weight.zero_())
    findings = analysed(flat)
    assert findings.summary.layers[0].max > 1e24
    assert np.isfinite(findings.summary.layers[0].stddev)


def test_sizes_that_differ_much_are_shown_on_a_log_scale(mlp: Subject) -> None:
    subject = _with_weights(mlp, "layers.2", lambda layer: layer.weight.mul_(1e4))
    captions = [plot.caption for plot in plots_of(show_activations(analysed(subject)))]
    assert any(caption.startswith("Size of the values") for caption in captions)


def test_weights_that_are_no_numbers_are_told(mlp: Subject) -> None:
    subject = _with_weights(mlp, "layers.2", lambda layer: layer.weight.fill_(torch.nan))
    with pytest.raises(UnusableModelError, match="no number"):
        analyse_activations(subject, Budget(10))


def test_the_map_shows_rows_with_what_is_known_of_them(mlp: Subject) -> None:
    findings = analysed(mlp)
    found, facts = findings.summary.representation, findings.facts
    assert found is not None
    assert facts is not None
    assert found.method is MapMethod.TSNE
    assert len(found.rows) == len(found.x) == len(found.y) == mlp.sample.count
    assert found.neighbour_agreement is not None
    assert found.neighbour_agreement > 0.85
    shares = np.bincount(mlp.truth) / len(mlp.truth)
    assert found.chance_agreement == pytest.approx((shares**2).sum())
    section = show_activations(findings)
    text = str(section.parts[0])
    assert f"{found.neighbour_agreement:.0%} are of its class" in text
    first = plots_of(section)[0].figure
    assert sum(len(trace.x) for trace in first.data) == mlp.sample.count
    wrong = int((mlp.outputs.argmax(axis=1) != mlp.truth).sum())
    assert len(plots_of(section)[1].figure.data[1].x) == wrong


def test_images_have_maps_and_exciting_inputs(cnn: Subject) -> None:
    findings = analysed(cnn)
    assert [each.position_count for each in findings.summary.layers] == [16, 4, 1]
    assert [len(each.pictures) for each in findings.maps] == [3, 3]
    assert [len(each.pictures) for each in findings.exciting] == [4, 4, 4]
    pictures = [p for gallery in (*findings.maps, *findings.exciting) for p in gallery.pictures]
    assert sum(len(each.png) for each in pictures) < MOST_BYTES
    first, *_, last = (each.neighbour_agreement for each in findings.summary.layers)
    assert first is not None
    assert last is not None
    assert last > first
    assert findings.class_means is not None
    assert findings.class_means.means.shape == (16, 10)


def test_onnx_has_all_but_the_names(cnn: Subject) -> None:
    """Maps, pictures and statistics; the convolution is computed by another library."""
    model = onnx_convolution(cnn.sample, 6, 10)
    findings = analysed(replace(cnn, model=model))
    (layer,) = findings.summary.layers
    assert (layer.layer, layer.function) == ("relu", "relu")
    assert (layer.unit_count, layer.position_count) == (6, 36)
    assert [len(each.pictures) for each in findings.maps] == [3]
    assert [len(each.pictures) for each in findings.exciting] == [4]
    (kernels, _) = (numpy_helper.to_array(each) for each in onnx_file(model).graph.initializer)
    images = torch.from_numpy(cnn.sample.raw.columns["image"]).float()
    maps = nn.functional.relu(nn.functional.conv2d(images, torch.from_numpy(kernels.copy())))
    assert layer.mean == pytest.approx(float(maps.mean()), rel=1e-3)
    assert layer.max == pytest.approx(float(maps.max()), rel=1e-3)
    assert layer.zero_share == pytest.approx(float((maps == 0).float().mean()), abs=1e-3)


def test_layers_are_those_that_were_asked_for(mlp: Subject) -> None:
    wanted = AnalysisSettings(mlp.settings.metric, layers=("layers.2", "layers.0"))
    assert [*by_name(analysed(replace(mlp, settings=wanted)))] == ["layers.0", "layers.2"]
    unknown = AnalysisSettings(mlp.settings.metric, layers=("dense_7",))
    with pytest.raises(UnusableModelError, match=r"no layer `dense_7`; it has .*layers\.0"):
        analyse_activations(replace(mlp, settings=unknown), Budget(10))


def test_a_short_budget_takes_fewer_rows_and_says_so(cnn: Subject) -> None:
    slow = replace(cnn)
    slow.__dict__["seconds_per_row"] = 1.0
    slow.__dict__["outputs"] = cnn.outputs
    findings = analysed(slow, 0.05)
    assert findings.summary.row_count == 64
    assert findings.summary.representation is not None
    assert findings.summary.representation.method is MapMethod.PCA
    assert any("64 of 250 rows" in note for note in findings.notes)
    assert any("PCA" in note for note in findings.notes)


def test_a_seed_decides(cnn: Subject) -> None:
    def slow(seed: int) -> Subject:
        subject = replace(cnn, settings=AnalysisSettings(cnn.settings.metric, seed=seed))
        subject.__dict__["seconds_per_row"] = 0.1
        return subject

    first, second, other = (analysed(slow(seed), 2.0).summary.layers for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_rows_without_truth_are_coloured_by_prediction(mlp: Subject) -> None:
    subject = replace(mlp, sample=replace(mlp.sample, truth=None))
    findings = analysed(subject)
    assert "predicted class" in plots_of(show_activations(findings))[0].caption
    assert findings.summary.layers[-1].neighbour_agreement is not None


def test_regression_is_coloured_by_value_and_error() -> None:
    subject = diabetes()
    assert subject.training is not None
    table = np.column_stack([*subject.training.raw.columns.values()])
    network = MLPRegressor(hidden_layer_sizes=(20,), max_iter=300, tol=10, random_state=0)
    estimator = make_pipeline(StandardScaler(), network).fit(table, subject.training.truth)
    model = sklearn_model(estimator, subject.sample.columns, Task.REGRESSION)
    findings = analysed(replace(subject, model=model))
    assert [*by_name(findings)] == ["hidden_1"]
    assert findings.class_means is None
    captions = [plot.caption for plot in plots_of(show_activations(findings))]
    assert "true value" in captions[0]
    assert "errs most" in captions[1]
    assert findings.summary.representation is not None
    assert findings.summary.representation.chance_agreement == 0


def test_several_labels_at_once() -> None:
    subject = breast_cancer()
    assert subject.training is not None
    table, tested = (
        np.column_stack([*each.raw.columns.values()]).astype(np.float64)
        for each in (subject.training, subject.sample)
    )
    medians = np.median(table, axis=0)[:3]
    labels = table[:, :3] > medians
    network = MLPClassifier(hidden_layer_sizes=(8,), max_iter=20, tol=10, random_state=0)
    estimator = make_pipeline(StandardScaler(), network).fit(table, labels)
    own = sklearn_model(estimator, subject.sample.columns, Task.MULTI_LABEL)
    model = replace(own, outputs=("a", "b", "c"))
    sample = replace(subject.sample, truth=tested[:, :3] > medians)
    findings = analysed(replace(subject, model=model, sample=sample))
    assert findings.class_means is None
    assert "share of labels wrong" in plots_of(show_activations(findings))[1].description


def test_what_stands_in_is_told() -> None:
    subject = diabetes()
    assert subject.training is not None
    table = np.column_stack([*subject.training.raw.columns.values()])
    forest = RandomForestRegressor(5, random_state=0).fit(table, subject.training.truth)
    model = sklearn_model(forest, subject.sample.columns, Task.REGRESSION)
    findings = analysed(replace(subject, model=model))
    assert [*by_name(findings)] == ["leaves"]
    assert "leaves of its trees" in findings.notes[0]
    assert findings.summary.stands_in == findings.notes[0]
    assert [*by_name(analysed(breast_cancer()))] == ["columns"]


@pytest.mark.parametrize("rows", [1, 2, 5, 13])
def test_few_rows_will_do(mlp: Subject, cnn: Subject, rows: int) -> None:
    for subject in (mlp, cnn):
        sample = subject.sample.take(slice(0, rows))
        findings = analysed(replace(subject, sample=sample))
        assert findings.summary.row_count == rows


def test_equal_rows_have_no_map(mlp: Subject) -> None:
    same = mlp.sample.take(np.zeros(30, np.int64))
    same = replace(same, numbers=np.arange(30))
    findings = analysed(replace(mlp, sample=same))
    assert findings.summary.representation is None
    assert findings.summary.layers[-1].effective_dimensions is None


def test_one_class_and_unknown_classes(mlp: Subject) -> None:
    for value in (0, -1):
        truth = np.full(mlp.sample.count, value)
        findings = analysed(replace(mlp, sample=replace(mlp.sample, truth=truth)))
        assert findings.class_means is None


def test_categories_with_missing_values(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    numbers = np.where(generator.random(200) < 0.2, np.nan, generator.normal(size=200))
    kinds = generator.integers(-1, 3, 200).astype(np.int32)
    columns = {
        **numeric_columns(np.nan_to_num(numbers)[:, None], ["number"]),
        "kind": Column("kind", ColumnType.CATEGORICAL, categories=("a", "b", "c")),
    }
    values = {"number": numbers, "kind": kinds}
    whole = sample_of(columns, values, (kinds > 0).astype(np.int64))
    preprocessing = Preprocessing(
        numeric=(NumericColumn(name="number", mean=0.0, scale=1.0),),
        categorical=(CategoricalColumn(name="kind", labels=("a", "b", "c"), size=4),),
        target=Target(name="target", task="classification", classes=("no", "yes")),
    )
    plain = NetworkSpecification.model_validate({"mlp": {"hidden_widths": (6,)}})
    model = trained_package(tmp_path, plain, preprocessing, whole, 5)
    findings = analysed(subject_of(model, whole))
    assert [*by_name(findings)] == ["layers.1"]
    wanted = AnalysisSettings(subject_of(model, whole).settings.metric, layers=("embeddings.0",))
    findings = analysed(subject_of(model, whole, settings=wanted))
    assert [*by_name(findings)] == ["embeddings.0"]
