"""Layers whose outputs lie in a space of few dimensions become two small ones."""

import numpy as np
import onnx
import pytest
from onnx import helper

from services.pruner.domain.foreign.factoring import factored
from services.pruner.domain.foreign.graphs import distance, outputs
from services.pruner.domain.foreign.reduction import onnx_reductions
from tests.support.onnx_graphs import Array, floats, graph_model

node = helper.make_node
EXACT = 1e-9
ROWS = {"x": floats(0, 600, 64)}
PICTURES = {"x": floats(0, 60, 16, 6, 6)}


def low_rank(rank: int, outputs_: int, inputs: int) -> Array:
    """Returns weights of some rank, (outputs, inputs)."""
    return (floats(1, outputs_, rank) @ floats(2, rank, inputs)) / np.float32(inputs)


def product(weights: Array) -> onnx.ModelProto:
    """Returns a network with a product without a bias."""
    return graph_model(
        [node("MatMul", ["x", "w"], ["p"]), node("Relu", ["p"], ["y"])],
        {"x": ["rows", 64]},
        {"y": ["rows", weights.shape[0]]},
        {"w": np.ascontiguousarray(weights.T)},
    )


def gemm(weights: Array, is_transposed: bool) -> onnx.ModelProto:
    """Returns a network with a linear layer."""
    kept = weights if is_transposed else np.ascontiguousarray(weights.T)
    return graph_model(
        [node("Gemm", ["x", "w", "b"], ["y"], transB=int(is_transposed), name="linear")],
        {"x": ["rows", 64]},
        {"y": ["rows", weights.shape[0]]},
        {"w": kept, "b": floats(3, weights.shape[0])},
    )


def convolution(rank: int) -> onnx.ModelProto:
    """Returns a convolution of 64 channels with strides and a border."""
    weights = low_rank(rank, 64, 16 * 9).reshape(64, 16, 3, 3)
    return graph_model(
        [node("Conv", ["x", "w", "b"], ["y"], pads=[1] * 4, strides=[2, 2], name="conv")],
        {"x": ["rows", 16, 6, 6]},
        {"y": ["rows", 64, 3, 3]},
        {"w": weights, "b": floats(3, 64)},
    )


def numbers(model: onnx.ModelProto) -> int:
    """Returns how many numbers a model keeps."""
    return sum(int(np.prod(each.dims)) for each in model.graph.initializer)


@pytest.mark.parametrize(
    ("model", "rows", "rank"),
    [
        (product(low_rank(8, 48, 64)), ROWS, 8),
        (gemm(low_rank(8, 48, 64), True), ROWS, 8),
        (gemm(low_rank(8, 48, 64), False), ROWS, 8),
        (convolution(16), PICTURES, 16),
    ],
    ids=["MatMul", "Gemm transposed", "Gemm", "Conv"],
)
def test_layers_of_low_rank_become_two(
    model: onnx.ModelProto, rows: dict[str, Array], rank: int
) -> None:
    """Protects equality: outputs stay what they were, on rows that were not looked at too."""
    found = factored(model, rows, EXACT)
    onnx.checker.check_model(found.model, full_check=True)
    assert numbers(found.model) < 0.7 * numbers(model)
    assert f"rank {rank} of" in found.notes[1]
    other = {"x": floats(9, *rows["x"].shape)}
    assert distance(outputs(model, other), outputs(found.model, other)) < 1e-8


def test_layers_of_full_rank_stay() -> None:
    model = gemm(floats(1, 48, 64), True)
    assert factored(model, ROWS, EXACT).model is model


def test_what_rows_do_not_tell_stays() -> None:
    """Of fewer rows than outputs each lies in a space of few dimensions: that proves nothing."""
    model = gemm(floats(1, 48, 64), True)
    assert factored(model, {"x": ROWS["x"][:20]}, EXACT).model is model


@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.1])
def test_as_much_gets_lost_as_may(tolerance: float) -> None:
    """Protects the meaning of the tolerance, on rows that were not looked at."""
    weights = low_rank(8, 48, 64) + np.float32(0.001) * floats(5, 48, 64)
    model = gemm(weights, True)
    found = factored(model, ROWS, tolerance)
    assert found.model is not model
    other = {"x": floats(9, *ROWS["x"].shape)}
    assert distance(outputs(model, other), outputs(found.model, other)) < 1.5 * tolerance


def test_models_from_elsewhere_are_offered_with_layers_of_low_rank() -> None:
    """The way to users: it is one of the kinds of smaller models, in 8 bits as well."""
    model = product(low_rank(4, 256, 64))
    truth = (ROWS["x"][:, 0] > 0).astype(np.int64)
    made = onnx_reductions(model.SerializeToString(), ROWS, truth, 0, lambda: None)
    names = [each.name for each in made]
    assert "factored_within_3_percent" in names
