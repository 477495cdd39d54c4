"""What a page tells of layers: how much a network needs them, and what they take."""

from pathlib import Path

import torch
from onnx import helper
from torch import nn
from torch.nn import functional

from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.graph import dependencies
from services.pruner.domain.importance import changes
from services.pruner.domain.latency.node_times import node_times
from services.pruner.domain.schedule import Rows
from services.pruner.domain.sensitivity import sensitivities
from tests.support.onnx_graphs import floats, graph_model


def test_what_a_network_needs_is_told_from_what_it_does_not() -> None:
    """A layer of which half is dead can lose it; one whose neurons all count cannot."""
    torch.manual_seed(0)
    first, second = nn.Linear(6, 16), nn.Linear(16, 16)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(16, 2)).eval()
    with torch.no_grad():
        first.weight[8:] = first.bias[8:] = 0.0
        second.weight.mul_(5)
    inputs = torch.randn(400, 6)
    truth = network(inputs).argmax(1)
    rows = Rows((inputs[:4],), [((inputs,), truth)], functional.cross_entropy)
    known = dependencies(capture(network, rows.example), rows.example)
    scores = changes(known, rows.batches, rows.loss)
    found = sensitivities(known, rows, scores, network)
    assert set(found) == {"0", "2"}, "what the network gives may not go"
    assert abs(found["0"]) < 1e-5 < 1e-3 < found["2"]


def test_layers_that_are_added_up_need_the_same() -> None:
    """Protects the names: both branches of a sum, and not what takes it."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(6, 8), nn.Linear(6, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            added: torch.Tensor = self.one(numbers) + self.other(numbers)
            return functional.linear(added.relu(), self.head.weight, self.head.bias)

    torch.manual_seed(0)
    network, inputs = Sum().eval(), torch.randn(50, 6)
    rows = Rows((inputs[:4],), [((inputs,), torch.zeros(50).long())], functional.cross_entropy)
    known = dependencies(capture(network, rows.example), rows.example)
    found = sensitivities(known, rows, changes(known, rows.batches, rows.loss), network)
    assert set(found) == {"one", "other"}
    assert found["one"] == found["other"]


def test_nodes_tell_what_they_take(tmp_path: Path) -> None:
    """The large product takes longer than the small one; nothing is left behind."""
    model = graph_model(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="large"),
            helper.make_node("Relu", ["a"], ["b"], name="between"),
            helper.make_node("MatMul", ["b", "v"], ["y"], name="small"),
        ],
        {"x": ["rows", 64]},
        {"y": ["rows", 2]},
        {"w": floats(1, 64, 2048), "v": floats(2, 2048, 2)},
    )
    found = node_times(model.SerializeToString(), {"x": floats(0, 256, 64)}, tmp_path)
    assert found[0].name == "large" and found[0].kind == "MatMul"
    assert {"large", "small"} <= {each.name for each in found}
    assert all(each.seconds > 0 for each in found)
    assert [each.seconds for each in found] == sorted(
        (each.seconds for each in found), reverse=True
    )
    assert not list(tmp_path.iterdir())
