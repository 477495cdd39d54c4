"""Networks in 8 bits run, are smaller, and leave alone the layers that would lose most."""

import logging

import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from common.models.onnx_model import open_onnx
from common.models.twin import export_twin
from services.pruner.domain.foreign.graphs import (
    ForeignModelError,
    distance,
    outputs,
    read_model,
)
from services.pruner.domain.quantising import dynamic_int8, static_int8
from tests.support.onnx_graphs import floats, graph_model, kinds_of

pytestmark = pytest.mark.slow


def go_on() -> None:
    """Lets work go on."""


class Images(nn.Module):
    """A small convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 10),
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns scores."""
        found: Tensor = self.layers(inputs[0])
        return found


def test_a_convolutional_network_has_8_bits() -> None:
    """Torch's own export: smaller, opened by the catalogue, outputs near."""
    torch.manual_seed(0)
    samples = {"image": torch.from_numpy(floats(0, 128, 3, 12, 12))}
    twin = export_twin(Images().eval(), samples, "scores")
    model, new = read_model(twin.content), {"image": floats(1, 64, 3, 12, 12)}
    level = logging.getLogger().level
    found = static_int8(model, {"image": samples["image"].numpy()}, go_on)
    assert logging.getLogger().level == level
    content = found.model.SerializeToString()
    assert len(content) < len(twin.content) / 2
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(kinds_of(found.model))
    opened = open_onnx(content, "onnx")
    assert opened.signature == open_onnx(twin.content, "onnx").signature
    assert distance(outputs(model, new), dict(opened.predict(new))) < 0.03
    scales = [each for each in found.model.graph.initializer if tuple(each.dims) == (32,)]
    assert scales, "weights have a scale for each channel"


def products(opset: int = 17) -> onnx.ModelProto:
    """Returns three products, of which the first hardly looks at its first column."""
    first = floats(1, 64, 64)
    first[0] /= 1e4
    node = helper.make_node
    return graph_model(
        [
            node("MatMul", ["x", "w1"], ["a"], name="first"),
            node("Relu", ["a"], ["b"]),
            node("MatMul", ["b", "w2"], ["c"], name="middle"),
            node("Relu", ["c"], ["d"]),
            node("MatMul", ["d", "w3"], ["y"], name="last"),
        ],
        {"x": ["rows", 64]},
        {"y": ["rows", 4]},
        {"w1": first, "w2": floats(2, 64, 64), "w3": floats(3, 64, 4)},
        opset=opset,
        ml=1,
    )


def test_a_layer_that_loses_most_stays() -> None:
    """One column a thousand times as large as the others leaves these no bits of their own."""
    model, rows = products(), {"x": floats(0, 200, 64)}
    assert "3 of 3 layers" in static_int8(model, rows, go_on).notes[0]
    rows["x"][:, 0] *= 1000
    found = static_int8(model, rows, go_on)
    assert "2 of 3 layers" in found.notes[0]
    assert "MatMul `first` would lose most and stay" in found.notes[0]
    assert distance(outputs(model, rows), outputs(found.model, rows)) < 0.01


@pytest.mark.parametrize("opset", [9, 12])
def test_old_models_get_scales_by_channel(opset: int) -> None:
    """They are lifted to a version that can say them."""
    model, rows = products(opset), {"x": floats(0, 200, 64)}
    found = static_int8(model, rows, go_on).model
    open_onnx(found.SerializeToString(), "onnx")
    assert any(tuple(each.dims) == (64,) for each in found.graph.initializer)
    assert distance(outputs(model, rows), outputs(found, rows)) < 1e-2


def test_products_can_get_scales_as_rows_come() -> None:
    """Weights of 8 bits; no operators but ONNX's own."""
    model, rows = products(), {"x": floats(0, 200, 64)}
    found = dynamic_int8(model, rows)
    open_onnx(found.model.SerializeToString(), "onnx")
    assert "MatMulInteger" in kinds_of(found.model)
    assert found.model.ByteSize() < model.ByteSize()
    assert distance(outputs(model, rows), outputs(found.model, rows)) < 1e-2


def test_what_has_no_layers_or_convolutions_is_refused() -> None:
    """Nothing to quantise, and convolutions that would be slower."""
    plain = graph_model(
        [helper.make_node("Relu", ["x"], ["y"])], {"x": ["rows", 3]}, {"y": ["rows", 3]}
    )
    with pytest.raises(ForeignModelError, match="no convolutions or products"):
        static_int8(plain, {"x": floats(0, 8, 3)}, go_on)
    images = graph_model(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"x": ["rows", 3, 8, 8]},
        {"y": ["rows", 4, 6, 6]},
        {"w": floats(1, 4, 3, 3, 3)},
    )
    with pytest.raises(ForeignModelError, match="need scales from rows"):
        dynamic_int8(images, {"x": floats(0, 8, 3, 8, 8)})
