"""Channels of imported networks go where that is proved; what is not followed stays."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from services.pruner.domain.foreign import chains
from services.pruner.domain.foreign.graphs import distance, outputs
from services.pruner.domain.foreign.weights import narrowed
from tests.support.onnx_graphs import Array, floats, graph_model

node = helper.make_node
IDLE = 1e-9


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of weights by name."""
    return {each.name: tuple(each.dims) for each in model.graph.initializer}


def perceptron(
    first: Array, bias: Array, second: Array, activation: str = "Relu"
) -> onnx.ModelProto:
    """Returns a network of two products."""
    return graph_model(
        [
            node("Gemm", ["x", "w1", "b1"], ["h"], transB=1, name="first"),
            node(activation, ["h"], ["a"]),
            node("Gemm", ["a", "w2", "b2"], ["y"], transB=1, name="last"),
        ],
        {"x": ["rows", first.shape[1]]},
        {"y": ["rows", second.shape[0]]},
        {"w1": first, "b1": bias, "w2": second, "b2": floats(9, second.shape[0])},
    )


def convolutional(dead: int) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Returns a network of all kinds that are followed, in which channels are dead."""
    channels = 48
    scale = np.ones(channels, np.float32)
    scale[:dead] = 0.0
    weights = {
        "w1": floats(1, channels, 3, 3, 3),
        "scale": scale,
        "shift": np.where(scale > 0, floats(2, channels), -1).astype(np.float32),
        "mean": floats(3, channels),
        "var": np.abs(floats(4, channels)) + 0.5,
        "wd": floats(5, channels, 1, 3, 3),
        "slope": np.full((channels, 1, 1), 0.5, np.float32),
        "w2": floats(6, 32, channels, 1, 1) / 7,
        "b2": floats(7, 32),
        "sides": np.array([-1, 32 * 4]),
        "w3": floats(8, 32 * 4, 12) / 12,
        "b3": floats(9, 12),
        "w4": floats(10, 12, 3),
    }
    model = graph_model(
        [
            node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1], name="one"),
            node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"]),
            node("Relu", ["n1"], ["r1"]),
            node("Conv", ["r1", "wd"], ["d"], group=channels, pads=[1] * 4, strides=[2, 2]),
            node("Mul", ["d", "slope"], ["m"]),
            node("Sigmoid", ["m"], ["gate"]),
            node("Mul", ["m", "gate"], ["swish"]),
            node("Conv", ["swish", "w2", "b2"], ["c2"], name="two"),
            node("Relu", ["c2"], ["r2"]),
            node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Reshape", ["p", "sides"], ["flat"]),
            node("MatMul", ["flat", "w3"], ["c3"]),
            node("Add", ["c3", "b3"], ["s3"]),
            node("Tanh", ["s3"], ["t3"]),
            node("MatMul", ["t3", "w4"], ["y"]),
        ],
        {"x": ["rows", 3, 8, 8]},
        {"y": ["rows", 3]},
        weights,
    )
    return model, {"x": floats(0, 200, 3, 8, 8)}


def test_dead_and_unseen_neurons_go() -> None:
    """Those that never answer, always say the same, or that nobody looks at."""
    first, bias, second = floats(1, 16, 6), floats(2, 16), floats(3, 4, 16)
    bias[:4], first[:8] = -1.0, 0.0
    bias[4:8] = 2.0
    second[:, 8:11] = 0.0
    model = perceptron(first, bias, second)
    found = narrowed(model, {"x": floats(0, 100, 6)}, IDLE)
    assert shapes_of(found.model) == {"w1": (5, 6), "b1": (5,), "w2": (4, 5), "b2": (4,)}
    new = {"x": floats(8, 300, 6)}
    expected = outputs(model, new)["y"]
    assert np.allclose(outputs(found.model, new)["y"], expected, atol=1e-4)
    assert "5 of 16 channels and neurons are left" in found.notes[0]
    assert "Gemm `last` stay: they are an output" in found.notes[1]


def test_dead_channels_go_through_all_that_is_followed() -> None:
    """Normalisation, depthwise convolutions, gates, pooling; widths by the runtime's step."""
    model, rows = convolutional(dead=20)
    found = narrowed(model, rows, IDLE).model
    onnx.checker.check_model(found, full_check=True)
    sizes = shapes_of(found)
    # 28 channels are alive; 16 are computed at once.
    assert sizes["w1"][0] == sizes["wd"][0] == sizes["w2"][1] == sizes["scale"][0] == 32
    new = {"x": floats(7, 50, 3, 8, 8)}
    assert distance(outputs(model, new), outputs(found, new)) < 1e-9


@pytest.mark.parametrize("tolerance", [1e-2, 1e-1])
def test_the_least_important_go_as_far_as_asked(tolerance: float) -> None:
    """The reshaped too, channel by channel; outputs are off by about what was allowed."""
    model, rows = convolutional(dead=0)
    found = narrowed(model, rows, tolerance).model
    onnx.checker.check_model(found, full_check=True)
    sizes = shapes_of(found)
    assert found.ByteSize() < model.ByteSize()
    assert sizes["w3"][0] == 4 * sizes["w2"][0]
    new = {"x": floats(7, 50, 3, 8, 8)}
    assert distance(outputs(model, new), outputs(found, new)) < 3 * tolerance


def test_neurons_that_follow_from_others_go_and_are_made_up_for() -> None:
    """Copies and sums: without making up for them outputs would be far off."""
    first, second = floats(1, 12, 6), floats(3, 4, 12)
    first[6:] = first[:6] + 0.5 * first[[1, 2, 3, 4, 5, 0]]
    model = perceptron(first, np.zeros(12, np.float32), second, "Identity")
    found = narrowed(model, {"x": floats(0, 4000, 6)}, 0.01).model
    assert shapes_of(found)["w1"][0] <= 6
    new = {"x": floats(8, 300, 6)}
    assert distance(outputs(model, new), outputs(found, new)) < 0.02


def test_few_rows_do_not_prove_that_neurons_follow_from_others() -> None:
    """Of 16 rows every one of 32 neurons is a mixture of 16 others."""
    model = perceptron(floats(1, 32, 32), floats(2, 32) + 3, floats(3, 4, 32))
    found = narrowed(model, {"x": floats(0, 16, 32)}, 1e-2).model
    assert shapes_of(found)["w1"][0] > 28


def residual(*tail: onnx.NodeProto, **more: Array) -> onnx.ModelProto:
    """Returns products that meet, with more behind them."""
    weights = {"w1": floats(1, 6, 8), "w2": floats(2, 8, 8), "w3": floats(3, 8, 3)} | more
    nodes = [
        node("MatMul", ["x", "w1"], ["a"], name="one"),
        node("Relu", ["a"], ["r"]),
        node("MatMul", ["r", "w2"], ["b"], name="two"),
        *tail,
    ]
    return graph_model(nodes, {"x": ["rows", 6]}, {"y": ["rows", 3]}, weights)


LAST = node("MatMul", ["s", "w3"], ["y"], name="three")


@pytest.mark.parametrize(
    ("tail", "more", "reason"),
    [
        ([node("Add", ["b", "r"], ["s"]), LAST], {}, "values from elsewhere"),
        ([node("Softmax", ["b"], ["s"]), LAST], {}, "Softmax `s` uses them"),
        ([node("Add", ["b", "x2"], ["s"]), LAST], {"x2": floats(4, 1, 1)}, "are an output"),
        (
            [node("MatMul", ["b", "w2"], ["s"]), LAST],
            {},
            "`w2` is used in 2 places",
        ),
        (
            [
                node("Add", ["b", "own"], ["s"]),
                node("Mul", ["w3", "half"], ["w"]),
                node("MatMul", ["s", "w"], ["y"]),
            ],
            {"own": floats(4, 8), "half": np.array(0.5, np.float32)},
            "are computed",
        ),
    ],
)
def test_what_is_not_followed_stays_with_a_reason(
    tail: list[onnx.NodeProto], more: dict[str, Array], reason: str
) -> None:
    """Sums with others, softmax, outputs, shared and computed weights."""
    model = residual(*tail, **more)
    found = narrowed(model, {"x": floats(0, 50, 6)}, IDLE)
    assert any(reason in note for note in found.notes)
    new = {"x": floats(5, 50, 6)}
    assert distance(outputs(model, new), outputs(found.model, new)) < 1e-9


def test_shared_vectors_are_no_reason() -> None:
    """Layers whose biases are one constant lose different neurons."""
    weights = {"b": np.zeros(8, np.float32)}
    for name in ("w1", "w2", "w3"):
        weights[name] = floats(int(name[1]), 8, 8)
    weights["w1"][:, 0] = weights["w2"][:, 3:5] = 0.0
    names = ["x", "a", "c", "y"]
    nodes = [
        node("Gemm", [names[at], f"w{at + 1}", "b"], [names[at + 1]], name=f"layer{at}")
        for at in range(3)
    ]
    model = graph_model(nodes, {"x": ["rows", 8]}, {"y": ["rows", 8]}, weights)
    found = narrowed(model, {"x": floats(0, 1000, 8)}, IDLE).model
    sizes = {tuple(each.dims) for each in found.graph.initializer}
    assert {(8, 7), (7, 6), (6, 8)} <= sizes
    new = {"x": floats(5, 50, 8)}
    assert distance(outputs(model, new), outputs(found, new)) < 1e-9


def test_a_wrong_rule_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody had taken a softmax for an activation like others."""
    monkeypatch.setattr(chains, "_ELEMENTWISE", chains._ELEMENTWISE | {"Softmax"})
    first = floats(1, 8, 6)
    first[:4] = 0.0
    model = perceptron(first, np.zeros(8, np.float32), floats(3, 4, 8), "Softmax")
    found = narrowed(model, {"x": floats(0, 100, 6)}, 0.3)
    assert found.model == model
    assert any("others than with zeros" in note for note in found.notes)


def test_activations_that_are_not_finite_keep_their_channels() -> None:
    """Nothing is known of what overflows."""
    model = perceptron(1e38 * np.ones((8, 6), np.float32), floats(2, 8), floats(3, 4, 8))
    found = narrowed(model, {"x": 10 + floats(0, 100, 6)}, 0.3)
    assert any("not finite" in note for note in found.notes)


def test_work_ends_when_it_is_called_off() -> None:
    """What the check raises comes through."""

    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        narrowed(perceptron(floats(1, 8, 6), floats(2, 8), floats(3, 4, 8)), {}, IDLE, stop)


def test_weights_keep_their_types() -> None:
    """Double networks stay double."""
    model = perceptron(floats(1, 8, 6), floats(2, 8), floats(3, 4, 8))
    arrays: dict[str, Any] = {
        each.name: numpy_helper.to_array(each).astype(np.float64)
        for each in model.graph.initializer
    }
    arrays["w1"][:2], arrays["b1"][:2] = 0.0, -1.0
    kinds = dict.fromkeys(("x", "y"), onnx.TensorProto.DOUBLE)
    double = graph_model(
        list(model.graph.node), {"x": ["rows", 6]}, {"y": ["rows", 4]}, arrays, kinds=kinds
    )
    found = narrowed(double, {"x": floats(0, 50, 6).astype(np.float64)}, IDLE).model
    assert shapes_of(found)["w1"] == (6, 6)
    assert all(each.data_type == onnx.TensorProto.DOUBLE for each in found.graph.initializer)
