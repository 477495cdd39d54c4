"""A rule that is wrong costs units that might have gone, never a wrong network."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies import elementwise
from services.pruner.domain.dependencies.graph import dependencies
from services.pruner.domain.dependencies.proving import UNPROVED, proved_dependencies
from services.pruner.domain.dependencies.rules import RULES
from tests.support.architectures import ARCHITECTURES, FOLLOWED

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_is_followed_is_proved(name: str) -> None:
    make_module, make_inputs = ARCHITECTURES[name]
    inputs = make_inputs()
    network = capture(make_module(), inputs)
    proved = proved_dependencies(network, inputs)
    assert proved.removable == dependencies(network, inputs).removable
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            network.state_dict().values(), proved.network.state_dict().values(), strict=True
        )
    )


class Shares(nn.Module):
    """Values that are divided by their sum: a smaller one changes all others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, numbers: Tensor) -> Any:
        found = torch.softmax(self.first(numbers), dim=1)
        found = torch.relu(self.second(found))
        return self.head(found)


def test_a_wrong_rule_is_found_out() -> None:
    """As if somebody had taken a softmax for an activation like others."""
    inputs = (torch.randn(3, 6),)
    network = capture(Shares(), inputs)
    wrong = {**RULES, "softmax": elementwise.same}
    assert len(dependencies(network, inputs, wrong).removable) == 2
    proved = proved_dependencies(network, inputs, wrong)
    (left,) = proved.removable
    assert {name for name, _ in left.places} == {"second.weight", "second.bias", "head.weight"}
    reasons = {group.reason for group in proved.coupled if ("first.bias", 0) in group.places}
    assert reasons == {UNPROVED}


class Largest(nn.Module):
    """The larger of two layers, value by value: `max` of two tensors, not along a dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, numbers: Tensor) -> Any:
        return self.head(torch.max(self.first(numbers), self.second(numbers)))


def test_the_larger_of_two_tensors_ties_them() -> None:
    inputs = (torch.randn(3, 6),)
    (group,) = proved_dependencies(capture(Largest(), inputs), inputs).removable
    assert {name for name, _ in group.places} >= {"first.weight", "second.weight", "head.weight"}
    assert len(group.units) == 8
