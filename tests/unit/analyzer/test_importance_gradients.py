"""Integrated gradients and occlusion: complete, and where the cause is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from common.data.schema import Column, ColumnType, Task
from common.models.preprocessing import CategoricalColumn, NumericColumn, Preprocessing, Target
from common.networks.specification import NetworkSpecification
from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.gradients import Gradients, table_gradients
from services.analyzer.domain.importance.images import ImageMethod, seen_images
from services.analyzer.domain.models.torch_package import TorchPackage
from services.analyzer.domain.subject import Subject
from tests.support.analysis import (
    numeric_columns,
    sample_of,
    subject_of,
    trained_cnn,
    trained_mlp,
    trained_package,
)
from tests.unit.analyzer.activations_support import onnx_analysed
from tests.unit.analyzer.robustness_support import linear_subject, subject_with, without_truth

_AMPLE = 600.0


def _gradients(subject: Subject) -> Gradients:
    assert isinstance(subject.model, TorchPackage)
    return table_gradients(subject, subject.model, Budget(_AMPLE))


def test_of_a_linear_network_they_are_weights_times_values() -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=60) for name in "abc"}
    weights = np.array([[2.0, -1.0, 0.0]])
    subject = linear_subject(weights, values, np.zeros(60))
    found = _gradients(subject)
    assert isinstance(subject.model, TorchPackage)
    (standardised,) = subject.model.inputs(subject.sample.raw.take(found.rows))
    np.testing.assert_allclose(found.values, standardised.numpy() * weights, atol=1e-5)
    assert found.completeness_error < 1e-5


def test_they_add_up_after_the_model_was_loaded_without_gradients(tmp_path: Path) -> None:
    subject = trained_mlp(tmp_path, epochs=5)
    before = [each.clone() for each in subject.model.network.parameters()]  # type: ignore[attr-defined]
    subject.outputs  # noqa: B018 - loads the network
    found = _gradients(subject)
    assert found.completeness_error < 0.05
    assert found.values.shape == (190, 30)
    after = subject.model.network.parameters()  # type: ignore[attr-defined]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("network", [{"mlp": {"hidden_widths": (8,)}}, {"linear": {}}])
@pytest.mark.parametrize("has_numbers", [True, False])
def test_categories_count_as_whole_columns(
    tmp_path: Path, network: dict[str, object], has_numbers: bool
) -> None:
    """The kind decides; a missing kind has the unknown one's embedding, and adds nothing."""
    subject = _with_categories(tmp_path, network, has_numbers)
    found = _gradients(subject)
    assert found.names == (("x", "kind", "idle") if has_numbers else ("kind", "idle"))
    sizes = dict(zip(found.names, np.abs(found.values).mean(axis=0), strict=True))
    assert max(sizes, key=lambda name: sizes[name]) == "kind"
    assert found.completeness_error < 0.05
    missing = np.asarray(subject.sample.raw.columns["kind"], np.int64)[found.rows] < 0
    np.testing.assert_allclose(found.values[missing][:, found.names.index("kind")], 0, atol=1e-6)


def _with_categories(folder: Path, network: dict[str, object], has_numbers: bool) -> Subject:
    generator = np.random.default_rng(0)
    x, kind = generator.normal(size=120), generator.integers(-1, 2, 120).astype(np.int32)
    idle = generator.integers(0, 2, 120).astype(np.int32)
    columns = numeric_columns(x[:, None], ["x"]) if has_numbers else {}
    for name in ("kind", "idle"):
        columns[name] = Column(name, ColumnType.CATEGORICAL, categories=("p", "q"))
    values = ({"x": x} if has_numbers else {}) | {"kind": kind, "idle": idle}
    sample = sample_of(columns, values, (kind == 1).astype(np.int64))
    prepared = Preprocessing(
        numeric=(NumericColumn(name="x", mean=0, scale=1),) if has_numbers else (),
        categorical=tuple(
            CategoricalColumn(name=name, labels=("p", "q"), size=3) for name in ("kind", "idle")
        ),
        target=Target(name="target", task="classification", classes=("no", "yes")),
    )
    plain = NetworkSpecification.model_validate(network)
    return subject_of(trained_package(folder, plain, prepared, sample, 20), sample)


def test_images_are_marked_right_ones_first(tmp_path: Path) -> None:
    subject = trained_cnn(tmp_path)
    found = seen_images(subject, Budget(_AMPLE), "image")
    assert found.method is ImageMethod.INTEGRATED_GRADIENTS
    assert found.completeness_error is not None and found.completeness_error < 0.05
    rights = [bool(each.is_right) for each in found.images]
    assert len(rights) == 8 and rights == sorted(rights, reverse=True)
    right = {each.predicted for each in found.images if each.is_right}
    assert len(right) == sum(rights)  # each of another class
    assert all(each.weights.shape == (8, 8) for each in found.images)


def test_onnx_models_are_covered_where_they_look() -> None:
    """The model sums up one corner: covering that is all that lowers its output."""
    columns = {"image": Column("image", ColumnType.IMAGE, shape=(1, 16, 16))}
    images = np.random.default_rng(0).integers(0, 50, (6, 1, 16, 16)).astype(np.uint8)
    images[:, :, :4, :4] = 250
    corner = np.zeros((1, 1, 16, 16), np.float32)
    corner[:, :, :4, :4] = 1 / 255
    nodes = [
        helper.make_node("Cast", ["x"], ["image"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["image", "corner"], ["product"]),
        helper.make_node("ReduceSum", ["product", "axes"], ["sums"], keepdims=0),
        helper.make_node("Unsqueeze", ["sums", "last"], ["y"]),
    ]
    constants = {"corner": corner, "axes": np.array([1, 2, 3]), "last": np.array([1])}
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", 1, 16, 16])
    model = onnx_analysed(nodes, constants, x, 1, columns)
    subject = subject_of(model, sample_of(columns, {"image": images}, None))
    found = seen_images(subject, Budget(_AMPLE), "image")
    assert found.method is ImageMethod.OCCLUSION
    assert found.notes == (
        "ONNX models have no gradients: parts of the image are covered instead, in a grid of 8 by "
        "8 (occlusion).",
    )
    for each in found.images:
        assert each.is_right is None and each.weights[:4, :4].min() > 1
        assert np.abs(each.weights[4:]).max() < 1e-5


def test_images_without_truth_and_with_several_labels() -> None:
    images = np.zeros((3, 3, 4, 4), np.uint8)
    subject = subject_with(
        lambda columns: np.tile([1.0, 0.0], (len(columns["image"]), 1)),
        {"image": images},
        np.array([[True, False]] * 3),
        Task.MULTI_LABEL,
        ("one", "two"),
    )
    found = seen_images(subject, Budget(_AMPLE), "image")
    assert [(each.predicted, each.truth, each.is_right) for each in found.images] == [
        ("one", "one", True)
    ] * 3
    unknown = seen_images(without_truth(replace(subject)), Budget(_AMPLE), "image")
    assert [each.is_right for each in unknown.images] == [None] * 3
