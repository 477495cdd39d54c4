"""Multiply-accumulates of ONNX models are those of the shapes that they have when they run."""

import numpy as np
import onnx
import pytest
from onnx import helper

from services.pruner.domain.foreign.graphs import ForeignModelError
from services.pruner.domain.foreign.work import multiplications
from services.pruner.domain.quantising import static_int8
from tests.support.onnx_graphs import floats, graph_model

node = helper.make_node


def convolution(rows: str | int = "rows") -> onnx.ModelProto:
    """Returns a convolution with strides, a depthwise one, and a product."""
    return graph_model(
        [
            node("Conv", ["x", "w"], ["a"], pads=[1] * 4, strides=[2, 2]),
            node("Conv", ["a", "d"], ["b"], group=8, pads=[1] * 4),
            node("Flatten", ["b"], ["f"]),
            node("Gemm", ["f", "l"], ["y"], transB=1),
        ],
        {"x": [rows, 3, 8, 8]},
        {"y": [rows, 5]},
        {"w": floats(1, 8, 3, 3, 3), "d": floats(2, 8, 1, 3, 3), "l": floats(3, 5, 128)},
    )


EXPECTED = 4 * 4 * 8 * 27 + 4 * 4 * 8 * 9 + 128 * 5


@pytest.mark.parametrize("count", [1, 7])
def test_layers_add_up_for_a_row(count: int) -> None:
    """Strides, groups and the product; however many rows it is counted on."""
    assert multiplications(convolution(), {"x": floats(0, count, 3, 8, 8)}) == EXPECTED


def test_models_of_a_fixed_number_of_rows_are_counted_too() -> None:
    assert multiplications(convolution(4), {"x": floats(0, 8, 3, 8, 8)}) == EXPECTED
    with pytest.raises(ForeignModelError, match="more rows at once"):
        multiplications(convolution(4), {"x": floats(0, 3, 3, 8, 8)})


def test_eight_bits_multiply_as_often() -> None:
    """Quantising changes what a multiplication takes, not how many there are."""
    rows = {"x": floats(0, 40, 3, 8, 8)}
    quantised = static_int8(convolution(), rows, lambda: None).model
    assert multiplications(quantised, rows) == EXPECTED


def test_recurrent_layers_count_each_step() -> None:
    """Four gates of an LSTM, both weights, in both directions."""
    steps, inputs, hidden = 7, 6, 16
    model = graph_model(
        [
            node("Transpose", ["x"], ["s"], perm=[1, 0, 2]),
            node("LSTM", ["s", "w", "r"], ["y"], hidden_size=hidden, direction="bidirectional"),
        ],
        {"x": ["rows", steps, inputs]},
        {"y": [steps, 2, "rows", hidden]},
        {"w": floats(1, 2, 4 * hidden, inputs), "r": floats(2, 2, 4 * hidden, hidden)},
    )
    found = multiplications(model, {"x": floats(0, 3, steps, inputs)})
    assert found == steps * 2 * 4 * hidden * (inputs + hidden)


def test_what_multiplies_nothing_has_none() -> None:
    model = graph_model([node("Relu", ["x"], ["y"])], {"x": ["rows", 3]}, {"y": ["rows", 3]}, {})
    assert multiplications(model, {"x": np.zeros((2, 3), np.float32)}) == 0
