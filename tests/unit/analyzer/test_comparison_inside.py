"""Differences inside of versions: weights, hidden values, costs; importance and disturbances."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from common.data.rows import Values
from common.data.schema import Task
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.comparison.activations import (
    alignment,
    centred_kernel,
    compare_activations,
)
from services.analyzer.domain.comparison.costs import CostComparison
from services.analyzer.domain.comparison.curves import compare_curves
from services.analyzer.domain.comparison.importance import compare_importance
from services.analyzer.domain.comparison.robustness import compare_robustness
from services.analyzer.domain.comparison.summary import Costs, Ratios, WeightChanges
from services.analyzer.domain.comparison.verdict import price_of
from services.analyzer.domain.comparison.versions import Versions, versions_of
from services.analyzer.domain.comparison.weights import compare_weights
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import History, Subject
from tests.support.analysis import breast_cancer, trained_cnn, trained_mlp
from tests.unit.analyzer.activations_support import onnx_twin
from tests.unit.analyzer.comparison_support import numbered, with_weights
from tests.unit.analyzer.relations_support import FunctionModel
from tests.unit.analyzer.robustness_support import subject_with, two_classes

BUDGET = 20.0
FIRST = "layers.0.weight"


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return trained_mlp(tmp_path_factory.mktemp("mlp"), epochs=10)


@pytest.fixture(scope="module")
def trees() -> Subject:
    return breast_cancer()


def package_of(subject: Subject) -> TorchPackage:
    assert isinstance(subject.model, TorchPackage)
    return subject.model


def changed(mlp: Subject, folder: Path, **changes: torch.Tensor) -> Versions:
    """Returns a network, and it with other weights (`__` stands for a dot)."""
    named = {name.replace("__", "."): each for name, each in changes.items()}
    other = replace(mlp, model=with_weights(package_of(mlp), folder, named))
    return versions_of(numbered([mlp, other]))


def weights_of(versions: Versions) -> WeightChanges:
    return compare_weights(versions, Budget(BUDGET)).challengers[0][1]


def test_scaled_and_pruned_tensors_are_told(mlp: Subject, tmp_path: Path) -> None:
    state = package_of(mlp).network.state_dict()
    first, second = state[FIRST], state["layers.2.weight"]
    pruned = torch.where(second.abs() > second.abs().median(), second, 0.0)
    found = weights_of(
        changed(mlp, tmp_path, layers__0__weight=1.1 * first, layers__2__weight=pruned)
    )
    own = {each.name: each for each in found.tensors}
    assert own[FIRST].relative_difference == pytest.approx(0.1, rel=1e-4)
    assert own[FIRST].cosine == pytest.approx(1)
    assert own[FIRST].changed_share == 1
    assert own["layers.2.weight"].challenger_zero_share == pytest.approx(0.5, abs=0.02)
    assert own["layers.2.weight"].baseline_zero_share == 0
    assert own["layers.4.weight"].relative_difference == 0
    squares = [float((0.1 * first).square().sum()), float((pruned - second).square().sum())]
    whole = sum(float(each.square().sum()) for each in state.values())
    assert found.relative_difference == pytest.approx(np.sqrt(sum(squares) / whole), rel=1e-4)


def test_layers_of_another_width_and_layers_of_one_version_are_told(
    mlp: Subject, tmp_path: Path
) -> None:
    narrow = trained_mlp(tmp_path, epochs=1, hidden_widths=(8, 8), batch_norm=True)
    found = weights_of(versions_of(numbered([mlp, narrow])))
    assert (FIRST, (16, 30), (8, 30)) in [
        (each.name, each.baseline, each.challenger) for each in found.reshaped
    ]
    assert found.only_challenger
    assert not any(name.endswith("running_mean") for name in found.only_challenger)


def test_the_same_network_as_onnx_has_its_weights(mlp: Subject) -> None:
    twin = replace(mlp, model=onnx_twin(package_of(mlp), mlp.sample))
    pair = numbered([twin, twin])
    found = weights_of(versions_of(pair))
    assert found.relative_difference == 0
    assert sum(each.size for each in found.tensors) >= 30 * 16 + 16 * 8 + 8 * 2


def test_trees_have_no_weights_to_compare(mlp: Subject, trees: Subject) -> None:
    with pytest.raises(NotApplicableError, match="is not made of weights"):
        compare_weights(versions_of(numbered([trees, mlp])), Budget(BUDGET))
    with pytest.raises(NotApplicableError, match="no weights of the same names"):
        compare_weights(versions_of(numbered([mlp, trees])), Budget(BUDGET))


def kernel(values: Values) -> npt.NDArray[np.float64]:
    return centred_kernel(values.astype(np.float32))


def test_alignment_is_blind_to_rotation_and_scale() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(200, 12))
    rotation = np.linalg.qr(generator.normal(size=(12, 12)))[0]
    assert alignment(kernel(values), kernel(3 * values @ rotation + 5)) == pytest.approx(
        1, abs=1e-5
    )


def test_alignment_of_noise_is_0_however_wide_it_is() -> None:
    """The plain estimator would say 0.9 of so many units and so few rows."""
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 50, 500))
    plain = np.square(np.linalg.norm((first - first.mean(0)).T @ (second - second.mean(0))))
    lengths = [
        np.linalg.norm((each - each.mean(0)).T @ (each - each.mean(0))) for each in (first, second)
    ]
    assert plain / np.prod(lengths) > 0.8
    assert alignment(kernel(first), kernel(second)) < 0.1


def test_alignment_nears_the_plain_formula_with_many_rows() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(size=(1000, 5))
    second = first @ generator.normal(size=(5, 4)) + generator.normal(size=(1000, 4))
    one, other = first - first.mean(0), second - second.mean(0)
    plain = np.linalg.norm(one.T @ other) ** 2
    plain /= np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    assert alignment(kernel(first), kernel(second)) == pytest.approx(plain, abs=0.01)


def test_alignment_of_a_constant_layer_is_0() -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    assert alignment(kernel(values), kernel(np.ones((20, 3)))) == 0


def test_layers_before_a_change_are_alike_and_those_after_are_not(
    mlp: Subject, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    versions = changed(mlp, tmp_path, layers__2__weight=torch.randn(8, 16))
    found = compare_activations(versions, Budget(BUDGET))
    pairs = {each.baseline_layer: each for each in found.challengers[0].pairs}
    assert all(each.challenger_layer == name for name, each in pairs.items())
    assert pairs["layers.1"].similarity == pytest.approx(1, abs=1e-5)
    assert pairs["layers.3"].similarity < 0.95


def test_a_network_and_its_twin_in_onnx_are_alike_in_all_layers(tmp_path: Path) -> None:
    cnn = trained_cnn(tmp_path, epochs=1)
    twin = replace(cnn, model=onnx_twin(package_of(cnn), cnn.sample))
    found = compare_activations(versions_of(numbered([cnn, twin])), Budget(BUDGET))
    assert found.challengers[0].values.shape == (3, 3)
    assert np.diag(found.challengers[0].values) == pytest.approx([1, 1, 1], abs=1e-3)
    assert found.challengers[0].pairs[-1].similarity == pytest.approx(1, abs=1e-3)


def test_models_without_hidden_layers_are_left_out(mlp: Subject, trees: Subject) -> None:
    versions = versions_of(numbered([mlp, trees, mlp]))
    found = compare_activations(versions, Budget(BUDGET))
    assert [each.version.label for each in found.challengers] == ["version 3"]
    assert found.notes[0].startswith("Version 2 is left out")
    with pytest.raises(NotApplicableError):
        compare_activations(versions_of(numbered([trees, mlp])), Budget(BUDGET))


def test_columns_that_gained_and_lost_importance_are_clear() -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=800) for name in ("a", "b", "c")}
    truth = values["a"] + values["b"]
    pair = [
        subject_with(lambda columns: columns["a"] + columns["c"], values, truth),
        subject_with(lambda columns: columns["b"] + columns["c"], values, truth),
    ]
    found = compare_importance(versions_of(numbered(pair)), Budget(BUDGET))
    own = {each.column: each for each in found.shifts[0]}
    assert own["a"].is_clear
    assert own["a"].difference < 0
    assert own["b"].is_clear
    assert own["b"].difference > 0
    assert not own["c"].is_clear
    assert own["a"].low < own["a"].difference < own["a"].high


def test_a_column_that_one_version_does_not_take_has_no_importance_there() -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=300) for name in ("a", "b")}
    both = values["a"] + values["b"]
    whole = subject_with(lambda columns: columns["a"] + columns["b"], values, both)
    alone = replace(
        whole, model=FunctionModel(lambda columns: columns["a"], ["a"], Task.REGRESSION, ["target"])
    )
    found = compare_importance(versions_of(numbered([whole, alone])), Budget(BUDGET))
    own = {each.column: each for each in found.shifts[0]}
    assert own["b"].challenger == 0
    assert own["b"].difference < 0
    assert own["b"].is_clear


def sign_of(name: str, values: dict[str, npt.NDArray[np.float64]]) -> Subject:
    """Returns a model that goes by the sign of one column; that of `a` is the truth."""

    def outputs(columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
        return two_classes(9 * columns[name])

    truth = (values["a"] > 0).astype(np.int64)
    return subject_with(outputs, values, truth, Task.CLASSIFICATION, ("no", "yes"))


def test_the_same_disturbed_rows_are_given_to_all_versions() -> None:
    values = {"a": np.random.default_rng(0).normal(size=500)}
    pair = [sign_of("a", values), sign_of("a", values)]
    found = compare_robustness(versions_of(numbered(pair)), Budget(BUDGET))
    assert {each.disturbance for each in found.curves} >= {"noise", "missing values"}
    for each in found.curves:
        assert each.steps[0] == 0
        assert each.versions[0].values == each.versions[1].values
        assert len(each.versions[0].values) == len(each.steps)
    assert all(each.difference == 0 for each in found.falls[0])
    assert not any(each.is_clear for each in found.falls[0])


def test_a_model_that_cannot_suffer_suffers_less() -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=1500) for name in ("a", "b")}
    pair = [sign_of("a", values), sign_of("b", values)]
    found = compare_robustness(versions_of(numbered(pair)), Budget(BUDGET))
    noise = next(each for each in found.falls[0] if each.disturbance == "noise")
    assert noise.is_clear
    assert noise.difference < 0


def test_curves_stand_together_and_gaps_are_left_out(trees: Subject) -> None:
    pair = numbered([trees, trees, trees])
    epochs = np.arange(1, 1001)
    losses = 1 / epochs
    losses[3] = np.nan
    own = [
        replace(each, histories=(History(each.name, epochs, {"train/loss": losses}),))
        for each in pair[:2]
    ]
    found = compare_curves(versions_of([*own, pair[2]]), Budget(1))
    assert [each.metric for each in found.curves] == ["train/loss"]
    first = found.curves[0].versions[0]
    assert len(first.values) == len(first.epochs) == 200
    assert (first.epochs[0], first.epochs[-1]) == (1, 1000)
    assert 4 not in first.epochs
    assert np.isfinite(first.values).all()
    assert found.notes == ("Version 3 has no training curves.",)


def test_curves_of_another_version_are_not_its_own(trees: Subject) -> None:
    pair = numbered([trees, trees])
    histories = (History(pair[0].name, np.arange(3), {"train/loss": np.ones(3)}),)
    both = [replace(each, histories=histories) for each in pair]
    with pytest.raises(NotApplicableError, match="Fewer than two"):
        compare_curves(versions_of(both), Budget(1))


def costs_with(versions: Versions, seconds: list[list[float]], sizes: list[int]) -> CostComparison:
    times = np.array(seconds)
    ratios = tuple(
        Ratios(size=size / sizes[0], latency=float(np.median(own / times[0])))
        for size, own in zip(sizes[1:], times[1:], strict=True)
    )
    costs = tuple(Costs(size) for size in sizes)
    return CostComparison(versions.all, costs, ratios, times, times)


def test_prices_are_told_where_they_are_clear(trees: Subject) -> None:
    versions = versions_of(numbered([trees] * 4))
    times = [[1.0, 1.1, 0.9, 1.0], [0.5, 0.6, 0.4, 0.5], [0.2, 3.0, 0.5, 2.0], [2.0, 2.2, 1.8, 2.0]]
    costs = costs_with(versions, [5 * each for each in times], [100, 50, 98, 300])
    faster, unclear, slower = (price_of(each, costs) for each in versions.challengers)
    assert faster.words == "2 times smaller and 2 times faster"
    assert faster.is_cheaper
    assert unclear.words == ""
    assert slower.words == "3 times larger and 2 times slower"
    assert not slower.is_cheaper
    few = costs_with(versions, times, [100, 100, 100, 100])
    assert price_of(versions.challengers[0], few).words == ""
