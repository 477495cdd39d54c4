"""Layers, costs and dataflow of models of each format, against what is known of them."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchinfo
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

from aimass.analyzer.v1 import structure_pb2
from common.data.schema import Column, ColumnType, Task
from common.models.onnx_model import open_onnx
from common.models.preprocessing import CategoricalColumn, Preprocessing, Target
from common.networks.cost import network_cost
from common.networks.specification import NetworkSpecification
from common.protobuf import from_plain
from common.reports.rendering import render
from common.reports.report import Report
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.errors import NotApplicableError
from services.analyzer.domain.models.foreign import OnnxAnalysed
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.structure import PART
from services.analyzer.domain.structure.analysis import analyse_structure, peak_bytes
from services.analyzer.domain.structure.drawing import drawing
from services.analyzer.domain.structure.findings import (
    Anatomy,
    StructureFindings,
    StructureLayer,
)
from services.analyzer.domain.structure.products import products_of
from services.analyzer.domain.structure.trees import onnx_trees
from services.analyzer.domain.structure.words import bytes_told, count_told, seconds_told
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    breast_cancer,
    iris,
    sample_of,
    sklearn_model,
    subject_of,
    trained_cnn,
    trained_mlp,
    trained_package,
)

RESNET = {"resnet": {"stages": [{"blocks": 1, "channels": 4}, {"blocks": 2, "channels": 8}]}}


def found_in(subject: Subject) -> StructureFindings:
    """Analyses, and checks that the message holds what was found and the page can be made."""
    found = analyse_structure(subject, Budget(30))
    message = from_plain(asdict(found.summary), structure_pb2.StructureResult)
    assert message.layer_count == found.summary.layer_count
    assert "Structure" in render(Report("r", {}, [PART.show(found)]))
    return found


def layer_named(found: StructureFindings, name: str) -> StructureLayer:
    return next(each for each in found.summary.layers if each.name == name)


def edges_of(found: StructureFindings) -> set[tuple[str, str]]:
    return {(each.source, each.target) for each in found.summary.edges}


def network_of(subject: Subject) -> nn.Module:
    assert isinstance(subject.model, TorchPackage)
    return subject.model.network


def fitted(estimator: Any) -> Subject:
    subject = iris()
    assert subject.training is not None
    values = np.column_stack(list(subject.training.raw.columns.values()))
    estimator.fit(values, subject.training.truth)
    model = sklearn_model(estimator, subject.sample.columns, Task.CLASSIFICATION)
    return replace(subject, model=model)


def onnx_subject(nodes: Sequence[onnx.NodeProto], **weights: np.ndarray) -> Subject:
    """The rows of iris through a graph from `x` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    subject = iris()
    columns = list(subject.sample.columns.values())
    model = open_onnx(file.SerializeToString(), "model")
    return replace(
        subject, model=OnnxAnalysed(model, Task.CLASSIFICATION, ("a", "b", "c"), columns)
    )


# Networks


def test_costs_of_a_perceptron_are_those_of_its_specification(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=0, batch_norm=True)
    assert isinstance(subject.model, TorchPackage)
    summary = found_in(subject).summary
    cost = network_cost(subject.model.specification)
    assert summary.parameter_count == cost.parameters
    assert summary.multiply_accumulates == cost.multiplications
    assert [each.name for each in summary.layers] == [f"layers.{place}" for place in range(7)]
    assert layer_named(found_in(subject), "layers.0").input_shape == (30,)
    assert layer_named(found_in(subject), "layers.0").output_shape == (16,)


def test_costs_of_convolutions_are_those_that_torchinfo_counts(tmp_path: Path) -> None:
    subject = trained_cnn(tmp_path, epochs=0)
    found = found_in(subject)
    told = torchinfo.summary(network_of(subject), (1, 1, 8, 8), verbose=0, device="cpu")
    assert found.summary.parameter_count == told.total_params
    kernels = layer_named(found, "blocks.2.0")
    assert kernels.multiply_accumulates == 8 * 16 * 9 * 4 * 4
    assert kernels.output_shape == (16, 4, 4)
    assert kernels.activation_bytes == 4 * 16 * 4 * 4


def test_residual_additions_are_in_the_graph(tmp_path: Path) -> None:
    found = found_in(trained_cnn(tmp_path, epochs=0, network=RESNET))
    assert {
        ("stages.1.0.norm2", "stages.1.0.add"),
        ("stages.1.0.shortcut.norm", "stages.1.0.add"),
        ("stages.1.1.norm2", "stages.1.1.add"),
        ("stages.1.0.relu2", "stages.1.1.add"),
        ("stages.1.1.add", "stages.1.1.relu2"),
        ("dropout", "head"),
    } <= edges_of(found)
    assert layer_named(found, "stages.1.0.add").kind == "add"


def test_a_linear_model_of_categories_adds_its_tables(tmp_path: Path) -> None:
    columns = {
        name: Column(name, ColumnType.CATEGORICAL, categories=("x", "y")) for name in ("a", "b")
    }
    codes = np.arange(40, dtype=np.int32) % 2
    sample = sample_of(columns, {"a": codes, "b": codes[::-1]}, codes.astype(np.int64))
    given = tuple(CategoricalColumn(name=name, labels=("x", "y"), size=3) for name in ("a", "b"))
    target = Target(name="t", task="classification", classes=("n", "p"))
    preprocessing = Preprocessing(categorical=given, target=target)
    linear = NetworkSpecification.model_validate({"linear": {}})
    package = trained_package(tmp_path, linear, preprocessing, sample, 0)
    found = found_in(subject_of(package, sample))
    assert layer_named(found, "network").parameter_count == 2
    assert layer_named(found, "network").multiply_accumulates == 0
    assert ("categories.1", "add_2") in edges_of(found)


def test_shares_of_the_time_sum_to_one(tmp_path: Path) -> None:
    found = found_in(trained_cnn(tmp_path, epochs=0))
    shares = [each.latency_share for each in found.summary.layers]
    assert sum(share for share in shares if share is not None) == pytest.approx(1)
    one, many = found.summary.latencies
    assert (one.rows, many.rows) == (1, found.summary.batch_rows)
    assert many.rows_per_second == pytest.approx(many.rows / many.latency)


def test_no_hook_stays_on_the_network(tmp_path: Path) -> None:
    subject = trained_cnn(tmp_path, epochs=0)
    found_in(subject)
    for module in network_of(subject).modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_weights_that_are_no_numbers_do_not_matter(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=0)
    with torch.no_grad():
        next(network_of(subject).parameters()).fill_(torch.nan)
    assert found_in(subject).summary.latencies


def test_without_rows_there_is_nothing_to_run(tmp_path: Path) -> None:
    subject = breast_cancer()
    empty = replace(subject, sample=subject.sample.take(slice(0, 0)))
    with pytest.raises(NotApplicableError, match="no row"):
        analyse_structure(empty, Budget(5))


# ONNX


def test_nodes_have_shapes_products_and_parameters() -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1, name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "v"], ["m"], name="second"),
        helper.make_node("Add", ["m", "c"], ["y"], name="offset"),
    ]
    generator = np.random.default_rng(0)
    weights = {"w": (5, 4), "b": (5,), "v": (5, 3), "c": (3,)}
    values = {name: generator.normal(size=shape).astype("f4") for name, shape in weights.items()}
    found = found_in(onnx_subject(nodes, **values))
    first = layer_named(found, "first")
    assert (first.input_shape, first.output_shape) == ((4,), (5,))
    assert (first.parameter_count, first.multiply_accumulates) == (25, 20)
    assert layer_named(found, "second").multiply_accumulates == 15
    assert found.summary.multiply_accumulates == 35
    assert found.summary.parameter_bytes == 4 * (25 + 15 + 3)
    assert found.summary.peak_activation_bytes == 40
    assert edges_of(found) == {("first", "relu"), ("relu", "second"), ("second", "offset")}
    assert all(each.latency is not None for each in found.summary.layers)


@pytest.mark.parametrize(
    ("kind", "shapes", "attributes", "products"),
    [
        ("Conv", ((1, 4, 6, 6), (8, 4, 3, 3), (1, 8, 4, 4)), {}, 8 * 16 * 36),
        ("Conv", ((1, 4, 6, 6), (8, 1, 3, 3), (1, 8, 4, 4)), {"group": 4}, 8 * 16 * 9),
        ("ConvTranspose", ((1, 4, 5, 5), (4, 8, 2, 2), (1, 8, 10, 10)), {}, 100 * 32),
        ("Gemm", ((6, 1), (6, 2), (1, 2)), {"transA": 1}, 12),
        ("MatMul", ((1, 3, 7), (7, 2), (1, 3, 2)), {}, 42),
        ("Relu", ((1, 3), (0,), (1, 3)), {}, 0),
        ("LSTM", ((1, 3), (0,), (1, 3)), {}, None),
    ],
)
def test_products_by_operator(
    kind: str, shapes: Any, attributes: dict[str, Any], products: int | None
) -> None:
    node = helper.make_node(kind, ["x", "w"], ["y"], **attributes)
    assert products_of(node, dict(zip("xwy", shapes, strict=True))) == products


def test_products_of_unknown_shapes_are_not_known() -> None:
    assert products_of(helper.make_node("MatMul", ["x", "w"], ["y"]), {"x": (1, 2)}) is None


def test_trees_of_onnx_have_depths_and_leaves() -> None:
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "y"],
        domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0, 0, 0, 1],
        nodes_nodeids=[0, 1, 2, 3, 4, 0],
        nodes_featureids=[1, 0, 0, 0, 0, 0],
        nodes_values=[0.5, 2.5, 0.0, 0.0, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 2, 0, 0, 0, 0],
        nodes_falsenodeids=[4, 3, 0, 0, 0, 0],
    )
    first, second = onnx_trees(node)
    assert (first.depth, first.leaves, first.nodes) == (2, 3, 5)
    assert first.columns.tolist() == [1, 0]
    assert first.thresholds.tolist() == [0.5, 2.5]
    assert (second.depth, second.leaves) == (0, 1)


# scikit-learn


def test_steps_of_a_pipeline_tell_what_they_hold() -> None:
    forest = RandomForestClassifier(6, max_depth=3, random_state=0)
    found = found_in(fitted(make_pipeline(StandardScaler(), forest)))
    scaler, trees = found.summary.layers
    assert (scaler.kind, trees.kind) == ("StandardScaler", "RandomForestClassifier")
    assert edges_of(found) == {("standardscaler", "randomforestclassifier")}
    assert trees.holds["trees"] == 6
    assert trees.holds["greatest depth"] == 3
    assert trees.options == {"max_depth": "3", "n_estimators": "6", "random_state": "0"}
    assert scaler.latency is not None
    assert found.summary.multiply_accumulates is None


def test_branches_stand_side_by_side() -> None:
    split = ColumnTransformer([("low", StandardScaler(), [0, 1]), ("high", MinMaxScaler(), [2, 3])])
    stack = StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(3))])
    found = found_in(fitted(make_pipeline(split, stack)))
    low, high = "columntransformer.low", "columntransformer.high"
    one, other, last = (f"stackingclassifier.{name}" for name in ("a", "b", "final"))
    expected = {(before, after) for before in (low, high) for after in (one, other)}
    assert edges_of(found) == expected | {(one, last), (other, last)}


def test_a_step_does_not_count_what_is_inside() -> None:
    forest = RandomForestClassifier(20, random_state=0)
    found = found_in(fitted(VotingClassifier([("rf", forest)], voting="soft")))
    inner, outer = found.summary.layers
    assert outer.parameter_bytes < inner.parameter_bytes / 4
    assert inner.latency_share is not None
    assert inner.latency_share > 0.5


def test_clocks_are_taken_away() -> None:
    subject = fitted(make_pipeline(StandardScaler(), LogisticRegression()))
    found_in(subject)
    for _, step in subject.model.model.estimator.steps:  # type: ignore[attr-defined]
        assert not {"transform", "predict", "predict_proba"} & set(vars(step))


# Drawing, words


def chain(names: Sequence[str]) -> Anatomy:
    return Anatomy(tuple(StructureLayer(name, "Linear") for name in names), tuple(pairwise(names)))


def test_many_layers_are_drawn_by_module() -> None:
    names = [f"stage.{block}.{layer}" for block in range(30) for layer in range(10)]
    plot = drawing(chain(names))
    assert plot.numbers is not None
    assert len(plot.numbers.rows) == 30
    assert "of a module are drawn as one" in plot.caption


def test_many_layers_without_modules_are_cut() -> None:
    plot = drawing(chain([f"node_{place}" for place in range(300)]))
    assert plot.numbers is not None
    assert len(plot.numbers.rows) == 120
    assert "Only the first 120 of 300" in plot.caption


def test_modules_that_would_make_a_cycle_are_not_joined() -> None:
    names = [f"{'ab'[place % 2]}.{place}" for place in range(300)]
    assert "Only the first" in drawing(chain(names)).caption


def test_many_layers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"node_{place}" for place in range(300)]
    target = "services.analyzer.domain.structure.analysis._anatomy"
    monkeypatch.setattr(target, lambda *given: chain(names))
    found = found_in(breast_cancer())
    assert found.summary.layer_count == 300
    assert len(found.summary.layers) == 200
    assert any("200" in note for note in found.notes)


def test_values_are_kept_until_their_last_use() -> None:
    layers = tuple(StructureLayer(name, "x", activation_bytes=10) for name in "abcd")
    plain = Anatomy(layers, (("a", "b"), ("b", "c"), ("c", "d")))
    assert peak_bytes(plain) == 20
    assert peak_bytes(replace(plain, edges=(*plain.edges, ("a", "d")))) == 30


def test_words() -> None:
    assert (bytes_told(12), bytes_told(1536), bytes_told(3 * 2**30)) == (
        "12 bytes",
        "1.5 KB",
        "3 GB",
    )
    assert (seconds_told(2), seconds_told(0.0061), seconds_told(3e-6)) == ("2 s", "6.1 ms", "3 µs")
    assert (count_told(950), count_told(11_173_962)) == ("950", "11.2 million")
