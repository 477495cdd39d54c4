"""Statistics of weights against numpy and scipy, and against what was put into tensors."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from aimass.analyzer.v1 import weights_pb2
from common.data.schema import Task
from common.models.onnx_model import open_onnx
from common.protobuf import from_plain
from common.reports.rendering import render
from common.reports.report import Report
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError, UnusableModelError
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject
from services.analyzer.domain.weights import PART, sensitivity
from services.analyzer.domain.weights import spectrum as spectra
from services.analyzer.domain.weights import tensors as stored
from services.analyzer.domain.weights.analysis import analyse_weights
from services.analyzer.domain.weights.findings import (
    WeightKind,
    WeightsFindings,
    WeightSpectrum,
    WeightTensor,
)
from services.analyzer.domain.weights.spectrum import spectrum_of
from services.analyzer.domain.weights.statistics import measured
from services.analyzer.domain.weights.tensors import StoredTensor, array_tensor, safetensors_of
from services.analyzer.domain.weights.units import duplicate_units
from tests.support.analysis import diabetes, iris, sklearn_model, trained_cnn, trained_mlp
from tests.support.foreign_models import linear_onnx

Matrix = npt.NDArray[np.float64]


def linear(values: npt.NDArray[np.generic]) -> StoredTensor:
    return array_tensor("w", "layer", WeightKind.LINEAR, values)


def normal(*shape: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=shape)


def spectrum(values: Matrix) -> WeightSpectrum:
    found = spectrum_of(linear(values), float(np.linalg.norm(values)), 0)
    assert found is not None
    return found


def effective_rank(values: Matrix) -> float:
    singular = np.linalg.svd(values, compute_uv=False)
    shares = singular[singular > 0] / singular.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def fitted(estimator: object) -> Subject:
    subject = iris()
    assert subject.training is not None
    values = np.column_stack(list(subject.training.raw.columns.values()))
    estimator.fit(values, subject.training.truth)  # type: ignore[attr-defined]
    model = sklearn_model(estimator, subject.sample.columns, Task.CLASSIFICATION)
    return replace(subject, model=model)


def onnx_subject() -> Subject:
    subject = iris()
    model = open_onnx(linear_onnx().SerializeToString(), "model")
    columns = list(subject.sample.columns.values())
    return replace(
        subject, model=OnnxAnalysed(model, Task.CLASSIFICATION, ("a", "b", "c"), columns)
    )


def found_in(subject: Subject) -> WeightsFindings:
    """Analyses, and checks that the message holds what was found and the page can be made."""
    found = analyse_weights(subject, Budget(30))
    message = from_plain(asdict(found.summary), weights_pb2.WeightsResult)
    assert message.tensor_count == found.summary.tensor_count
    assert "Weights" in render(Report("r", {}, [PART.show(found)]))
    return found


def tensor_named(found: WeightsFindings, name: str) -> WeightTensor:
    return next(each for each in found.summary.tensors if each.name == name)


# Statistics


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0]),
    )
)
@settings(max_examples=60)
def test_statistics_are_those_of_the_finite_values(values: Matrix) -> None:
    found = measured(linear(values))
    finite = values[np.isfinite(values)]
    assert found.nan_count == np.isnan(values).sum()
    assert found.infinite_count == np.isinf(values).sum()
    if not finite.size:
        assert found.mean is None
        assert found.histogram is None
        return
    near = np.abs(finite).max() * 1e-9 + 1e-12
    assert found.mean == pytest.approx(finite.mean(), abs=near)
    assert found.stddev == pytest.approx(finite.std(), abs=near * 1e3)
    assert (found.min, found.max) == (finite.min(), finite.max())
    assert found.l1_norm == pytest.approx(np.abs(finite).sum())
    assert found.l2_norm == pytest.approx(np.linalg.norm(finite))
    limit = 0.01 * np.sqrt((finite**2).mean())
    assert found.near_zero_share == pytest.approx((np.abs(finite) <= limit).mean())
    assert found.histogram is not None
    assert sum(found.histogram.counts) == finite.size


def test_pieces_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = linear(normal(50, 30) + 1000)
    whole = measured(tensor)
    monkeypatch.setattr(stored, "_BLOCK", 64)
    pieces = measured(tensor)
    assert len(list(tensor.blocks())) == 25
    assert pieces.stddev == pytest.approx(whole.stddev, rel=1e-12)
    assert pieces.histogram == whole.histogram


def test_values_that_are_too_large_leave_no_infinity() -> None:
    found = measured(linear(np.full((2, 2), 1e200)))
    assert found.l2_norm is None
    assert found.mean == 1e200
    assert found.histogram is None


# Singular values


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (7, 7), (2, 100)])
def test_small_matrices_are_decomposed_exactly(shape: tuple[int, int]) -> None:
    values = normal(*shape)
    found = spectrum(values)
    singular = np.linalg.svd(values, compute_uv=False)
    assert found.spectral_norm == pytest.approx(singular[0])
    assert found.effective_rank == pytest.approx(effective_rank(values))
    assert found.stable_rank == pytest.approx((singular**2).sum() / singular[0] ** 2)
    assert (found.full_rank, found.is_estimated) == (min(shape), False)


def test_a_matrix_of_one_direction_has_the_rank_1() -> None:
    assert spectrum(np.outer(np.arange(1, 6), np.arange(1, 9)).astype(float)).effective_rank == (
        pytest.approx(1, abs=1e-3)
    )


def test_zeros_have_no_spectrum() -> None:
    assert spectrum_of(linear(np.zeros((3, 4))), 0.0, 0) is None


@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_ranks_of_large_matrices_are_near(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    values = normal(*shape) @ np.diag(np.linspace(1, 3, shape[1]))
    monkeypatch.setattr(spectra, "EXACT", 100)
    monkeypatch.setattr(stored, "_BLOCK", 5_000)
    found = spectrum(values)
    assert found.is_estimated
    assert found.spectral_norm == pytest.approx(np.linalg.norm(values, 2), rel=0.01)
    assert found.effective_rank == pytest.approx(effective_rank(values), rel=0.05)


def test_the_products_of_few_rows_are_made_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = normal(12, 40)
    monkeypatch.setattr(stored, "_BLOCK", 100)
    assert spectrum(values).effective_rank == pytest.approx(effective_rank(values))


# Units


def test_dead_units_have_rows_near_zero() -> None:
    values = normal(10, 8)
    values[[2, 5]] = 1e-6
    assert measured(linear(values)).dead_units == 2


def test_units_that_point_the_same_way_are_counted_once_each() -> None:
    values = normal(200, 90)
    values[50] = 2 * values[3]
    values[60] = 0.5 * values[3]
    values[70] = -values[4]
    assert duplicate_units(linear(values), 1e-6, 0) == 2


def test_twins_are_not_looked_for_where_chance_makes_some() -> None:
    assert duplicate_units(linear(normal(50, 3)), 1e-6, 0) is None
    assert duplicate_units(linear(normal(1, 30)), 1e-6, 0) is None


def test_dead_units_are_no_twins() -> None:
    values = normal(10, 8)
    values[[2, 5]] = 1e-9
    assert duplicate_units(linear(values), 1e-3, 0) == 0


# Files


def test_a_file_is_read_without_loading_it(tmp_path: Path) -> None:
    kept = {
        "blocks.0.weight": torch.randn(4, 3, 3, 3),
        "blocks.1.weight": torch.ones(4),
        "blocks.1.running_mean": torch.zeros(4),
        "embeddings.0.weight": torch.randn(5, 2).half(),
        "head.weight": torch.randn(2, 6).bfloat16(),
        "head.bias": torch.randn(2).double(),
        "weight": torch.randn(2, 0),
        "steps": torch.tensor(3),
    }
    path = tmp_path / "w"
    safetensors.torch.save_file(kept, path)
    found = {each.name: each for each in safetensors_of(path)}
    assert set(found) == set(kept) - {"steps"}
    for name, tensor in found.items():
        expected = kept[name].double().numpy().reshape(tensor.rows, tensor.columns)
        assert np.array_equal(tensor.read(0, tensor.rows), expected)
        assert tensor.shape == tuple(kept[name].shape)
    kinds = {name: each.kind for name, each in found.items()}
    assert kinds["blocks.0.weight"] is WeightKind.CONVOLUTION
    assert kinds["blocks.1.weight"] is WeightKind.NORM_SCALE
    assert kinds["blocks.1.running_mean"] is WeightKind.STATISTIC
    assert kinds["embeddings.0.weight"] is WeightKind.EMBEDDING
    assert kinds["head.weight"] is WeightKind.LINEAR
    assert kinds["head.bias"] is WeightKind.BIAS
    assert found["weight"].layer == "network"
    assert measured(found["weight"]).count == 0


def test_another_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"no tensors here")
    with pytest.raises(UnusableModelError, match="no safetensors file"):
        safetensors_of(tmp_path / "w")


# Models


def test_a_perceptron_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=0)
    model = subject.model
    assert isinstance(model, TorchPackage)
    before = {name: each.clone() for name, each in model.network.state_dict().items()}
    found = found_in(subject)
    assert [each.name for each in found.summary.tensors][:2] == ["layers.0.weight", "layers.0.bias"]
    assert tensor_named(found, "layers.0.weight").shape == (16, 30)
    assert found.summary.sensitivity_method is not None
    sensitive = tensor_named(found, "layers.4.weight").sensitivity
    assert sensitive is not None
    assert sensitive.output_change > 0
    for name, each in model.network.state_dict().items():
        assert torch.equal(each, before[name])


def test_convolutions_are_matrices_of_their_kernels(tmp_path: Path) -> None:
    found = found_in(trained_cnn(tmp_path, epochs=0))
    kernels = tensor_named(found, "blocks.2.0.weight")
    assert kernels.spectrum is not None
    assert kernels.spectrum.full_rank == 16
    assert kernels.units == 16
    assert tensor_named(found, "blocks.0.1.weight").kind is WeightKind.NORM_SCALE


def test_a_layer_that_does_nothing_does_not_matter(tmp_path: Path) -> None:
    """A layer whose units the last layer ignores: noise on it changes no output."""
    subject = trained_mlp(tmp_path, epochs=0)
    model = subject.model
    assert isinstance(model, TorchPackage)
    kept = safetensors.torch.load_file(model.weights)
    kept["layers.4.weight"] = torch.zeros_like(kept["layers.4.weight"])
    safetensors.torch.save_file(kept, model.weights)
    found = found_in(subject)
    first = tensor_named(found, "layers.0.weight").sensitivity
    assert first is not None
    assert first.output_change == 0
    assert tensor_named(found, "layers.4.weight").dead_units == 2


def test_broken_weights_still_have_statistics(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=0)
    model = subject.model
    assert isinstance(model, TorchPackage)
    kept = safetensors.torch.load_file(model.weights)
    kept["layers.0.weight"][0, 0] = torch.nan
    safetensors.torch.save_file(kept, model.weights)
    found = found_in(subject)
    assert found.summary.broken_tensors == ("layers.0.weight",)
    assert tensor_named(found, "layers.0.weight").nan_count == 1
    assert tensor_named(found, "layers.2.weight").spectrum is not None
    assert found.summary.sensitivity_method is None
    assert any("not measured: the model gives no number" in note for note in found.notes)


def test_a_large_model_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = trained_mlp(tmp_path, epochs=0)
    monkeypatch.setattr(sensitivity, "LARGEST", 100)
    found = found_in(subject)
    assert "network" not in vars(subject.model)
    assert any("the model is large" in note for note in found.notes)


def test_time_that_is_short_leaves_the_statistics(tmp_path: Path) -> None:
    found = analyse_weights(trained_mlp(tmp_path, epochs=0), Budget(0))
    assert tensor_named(found, "layers.0.weight").mean is not None
    assert any("Time did not allow" in note for note in found.notes)


def test_onnx_weights_are_rows_of_outputs() -> None:
    found = found_in(onnx_subject())
    weights = tensor_named(found, "w")
    assert (weights.kind, weights.layer) == (WeightKind.LINEAR, "MatMul_0")
    assert (weights.shape, weights.units) == ((4, 3), 3)
    assert weights.sensitivity is not None
    assert weights.sensitivity.output_change > 0


def test_coefficients_stand_for_layers() -> None:
    subject = fitted(make_pipeline(StandardScaler(), LogisticRegression()))
    found = found_in(subject)
    assert [each.name for each in found.summary.tensors] == [
        "logisticregression.coef_",
        "logisticregression.intercept_",
    ]
    assert tensor_named(found, "logisticregression.coef_").sensitivity is not None


def test_a_regression_changes_in_units_of_its_outputs() -> None:
    [coefficients, _] = found_in(diabetes()).summary.tensors
    assert coefficients.sensitivity is not None
    assert 0 < coefficients.sensitivity.output_change < 1


def test_layers_of_a_perceptron_of_scikit_learn() -> None:
    found = found_in(fitted(MLPClassifier((8,), max_iter=2000, random_state=0)))
    assert tensor_named(found, "MLPClassifier.coefs_.0").units == 8


def test_support_vectors_stand_in() -> None:
    found = found_in(fitted(SVC()))
    assert any("support vectors" in note for note in found.notes)


@pytest.mark.parametrize(
    "estimator",
    [RandomForestClassifier(7, random_state=0), HistGradientBoostingClassifier(max_iter=5)],
    ids=lambda each: type(each).__name__,
)
def test_trees_tell_how_they_split(estimator: object) -> None:
    found = found_in(fitted(estimator))
    trees = found.summary.trees
    assert trees is not None
    assert trees.tree_count == sum(trees.depths) == (7 if "Random" in str(estimator) else 15)
    assert {each.column for each in trees.splits} <= {
        *("sepal_length", "sepal_width", "petal_length", "petal_width")
    }
    splits = sum(each.count for each in trees.splits)
    assert splits == trees.leaf_count - trees.tree_count
    assert any("stands in" in note for note in found.notes)


def test_neighbours_have_no_weights() -> None:
    with pytest.raises(NotApplicableError, match="KNeighborsClassifier has neither"):
        analyse_weights(fitted(KNeighborsClassifier()), Budget(5))
