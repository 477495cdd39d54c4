"""What a captured program does to what it is given: nothing."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.pruner.domain.capture import capture


class InPlace(nn.Module):
    """Changes tensors that it reads again, by one name and by another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, numbers: Tensor) -> Any:
        hidden = self.first(numbers)
        same = functional.relu(hidden, inplace=True)
        same.add_(1.0)
        return self.last(hidden * 2 + same)


def test_what_is_done_in_place_is_done_to_a_copy() -> None:
    """So that it stays right when an operation between goes, and gradients can be taken."""
    torch.manual_seed(0)
    module, numbers = InPlace(), torch.randn(5, 4)
    network = capture(module.eval(), (numbers,))
    assert not [each for each in network.program.operations if "_." in each.kind]
    assert torch.allclose(network(numbers), module(numbers), atol=1e-6)
    values: dict[str, Any] = {network.program.inputs[0]: numbers}
    for operation in network.program.operations:
        before = {name: each.clone() for name, each in values.items()}
        values[operation.name] = network.done(operation, values)
        assert all(torch.equal(values[name], each) for name, each in before.items())
