"""Layers that the user names stay as they are, whatever is done around them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from common.models.twin import export_twin
from common.networks.modules import build_network
from common.networks.specification import (
    NetworkInput,
    NetworkSpecification,
    ResNetNetwork,
    ResNetStage,
    complete,
)
from services.pruner.domain.capture import capture
from services.pruner.domain.foreign.factoring import factored
from services.pruner.domain.foreign.graphs import kept_layer_missing, read_model
from services.pruner.domain.foreign.weights import narrowed
from services.pruner.domain.latency.layer_shape import LayerShape
from services.pruner.domain.quantising import dynamic_int8, static_int8
from services.pruner.domain.schedule import Rows, Schedule, Target, steps_to
from tests.support.onnx_graphs import Array, floats

pytestmark = pytest.mark.slow

KEPT = "stages.1.1.conv1"
STAGES = (ResNetStage(blocks=2, channels=16), ResNetStage(blocks=2, channels=24))


class Products(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns scores."""
        found: Tensor = self.last(functional.relu(self.first(inputs[0])))
        return found


def go_on() -> None:
    """Lets work go on."""


def seconds(shape: LayerShape) -> float:
    """Returns a time that is proportional to the work."""
    return float(shape.multiplications)


def weights(network: nn.Module) -> float:
    """Returns how many weights a network has."""
    return float(sum(each.numel() for each in network.parameters()))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small residual network with random weights."""
    torch.manual_seed(0)
    wanted = NetworkSpecification(resnet=ResNetNetwork(stages=STAGES))
    built = build_network(complete(wanted, NetworkInput(image_shape=(3, 8, 8)), 3, "network"))
    for name, each in built.named_parameters():
        # Blocks that add next to nothing would be the first to go.
        if ".conv2." in name:
            nn.init.normal_(each, std=1e-3)
    return built.eval()


@pytest.fixture(scope="module")
def twin(network: nn.Module) -> onnx.ModelProto:
    """The network as ONNX."""
    samples = {"image": torch.from_numpy(floats(0, 8, 3, 8, 8))}
    return read_model(export_twin(network, samples, "scores").content)


@pytest.fixture(scope="module")
def pictures() -> dict[str, Array]:
    """Rows for the twin."""
    return {"image": floats(1, 300, 3, 8, 8)}


def weights_of(model: onnx.ModelProto, layer: str) -> Array:
    """Returns the weights of a layer in a graph."""
    [found] = [each for each in model.graph.initializer if each.name == f"{layer}.weight"]
    return numpy_helper.to_array(found)


@pytest.mark.parametrize("kept", [(), (KEPT,)])
def test_a_network_gets_smaller_around_a_layer(network: nn.Module, kept: tuple[str, ...]) -> None:
    """Its width, what it takes in and the blocks beside it stay; without the name they go."""
    example = torch.from_numpy(floats(2, 4, 3, 8, 8))
    batch = ((torch.from_numpy(floats(3, 32, 3, 8, 8)),), torch.arange(32) % 3)
    rows = Rows((example,), [batch], functional.cross_entropy)
    whole = weights(network)
    target = Target(32, seconds, lambda each: whole / weights(each))
    schedule = Schedule(2.0, step=1, kept_layers=kept)
    first = capture(network, rows.example)
    steps = list(steps_to(first, rows, target, schedule))
    states = steps[-1].network.state_dict()
    is_same = states.get(f"{KEPT}.weight", torch.zeros(0)).shape == (24, 24, 3, 3)
    assert is_same == bool(kept)
    if kept:
        assert weights(steps[-1].network) < whole / 1.3
        assert torch.equal(states[f"{KEPT}.weight"], network.state_dict()[f"{KEPT}.weight"])
        assert "stages.1.0.conv2.weight" in states, "names behind it would be others"


def test_a_graph_keeps_its_layers(twin: onnx.ModelProto, pictures: dict[str, Array]) -> None:
    """No channels are taken from it, though others lose some."""
    before = weights_of(twin, KEPT)
    plain = narrowed(twin, pictures, 0.9).model
    kept = narrowed(twin, pictures, 0.9, go_on, [KEPT]).model
    assert weights_of(plain, KEPT).shape != before.shape
    assert np.array_equal(weights_of(kept, KEPT), before)
    assert kept.ByteSize() < twin.ByteSize()


def test_a_kept_layer_is_not_split() -> None:
    """Even where its rank is low."""
    module = Products().eval()
    with torch.no_grad():
        module.first.weight.copy_(torch.outer(torch.arange(32.0), torch.arange(16.0)) / 100)
    rows = {"x": floats(1, 300, 16)}
    samples = {"x": torch.from_numpy(rows["x"][:8])}
    model = read_model(export_twin(module, samples, "scores").content)
    assert len(factored(model, rows, 1e-6).model.graph.node) > len(model.graph.node)
    kept = factored(model, rows, 1e-6, go_on, ["first"]).model
    assert np.array_equal(weights_of(kept, "first"), module.first.weight.detach().numpy())


def test_a_kept_layer_has_no_8_bits(twin: onnx.ModelProto, pictures: dict[str, Array]) -> None:
    """All others have."""
    before = weights_of(twin, KEPT)
    found = static_int8(twin, pictures, go_on, [KEPT])
    assert np.array_equal(weights_of(found.model, KEPT), before)
    assert "10 of 11 layers" in found.notes[0], found.notes
    names = {each.name for each in static_int8(twin, pictures, go_on).model.graph.initializer}
    assert f"{KEPT}.weight" not in names


def test_products_that_stay_have_no_8_bits() -> None:
    """By the name of a node too, as that of `MatMul` has no name of weights that says it."""
    torch.manual_seed(0)
    rows = {"x": torch.from_numpy(floats(0, 8, 16))}
    model = read_model(export_twin(Products().eval(), rows, "scores").content)
    [node, _] = [each for each in model.graph.node if each.op_type == "Gemm"]
    inputs = {"x": floats(1, 64, 16)}
    for name in ("first", node.name):
        found = dynamic_int8(model, inputs, [name]).model
        products = [each.op_type for each in found.graph.node if "MatMul" in each.op_type]
        assert products == ["MatMul", "MatMulInteger"]


def test_names_that_are_none_are_found(twin: onnx.ModelProto) -> None:
    """The place of the first one that no layer has."""
    assert kept_layer_missing(twin, [KEPT, "head"]) is None
    assert kept_layer_missing(twin, [KEPT, "conv", "heads"]) == 1
