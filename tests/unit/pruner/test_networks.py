"""Networks of the trainer become smaller and are trained again, with the original as teacher."""

import itertools

import pytest
import torch
from torch import nn

from common.networks.modules import build_network
from common.networks.specification import MlpNetwork, NetworkInput, NetworkSpecification, complete
from services.pruner.domain.networks import Place, smaller_networks
from services.pruner.domain.tuning import Examples, tune

pytestmark = pytest.mark.slow

ROWS = 600


def learned() -> tuple[NetworkSpecification, nn.Module, Examples]:
    """Returns a network that is far too wide for what it has learned, and its rows."""
    torch.manual_seed(0)
    mlp = MlpNetwork(hidden_widths=(128, 64))
    wanted = NetworkSpecification(mlp=mlp)
    specification = complete(wanted, NetworkInput(numeric_columns=6), 2, "network")
    inputs = torch.randn(ROWS, 6)
    truth = (inputs[:, 0] + inputs[:, 1] ** 2 > 0.7).long()
    examples = Examples((inputs,), truth, has_classes=True, rate=5e-3)
    network = build_network(specification)
    tune(network, build_network(specification).eval(), plain(examples), 15, 60, 0, lambda: None)
    return specification, network, examples


def plain(examples: Examples) -> Examples:
    """Returns examples of which no teacher says anything."""

    class Untaught(Examples):
        """Has the truth alone."""

        def taught_loss(
            self, outputs: torch.Tensor, truth: torch.Tensor, said: torch.Tensor
        ) -> torch.Tensor:
            """Returns the plain loss."""
            return self.loss(outputs, truth)

    return Untaught(examples.inputs, examples.truth, examples.has_classes, examples.rate)


def accuracy(network: nn.Module, examples: Examples) -> float:
    """Returns the share of rows that are right."""
    with torch.no_grad():
        found = network(*examples.inputs).argmax(1)
    return float((found == examples.truth).float().mean())


def size(network: nn.Module) -> float:
    """Stands for seconds: so that the test does not depend on the machine."""
    return float(sum(each.numel() for each in network.parameters()))


PLACE = Place(32, size, lambda shape: float(shape.weights), 1)


def test_networks_become_smaller_and_stay_as_good() -> None:
    """Each is built from its own specification, smaller than the one before, nearly as right."""
    specification, network, examples = learned()
    before = accuracy(network, examples)
    assert before > 0.9
    made = list(smaller_networks(network, specification, examples, PLACE, 120.0, 0, lambda: None))
    assert len(made) >= 2
    sizes = [size(network)]
    for each in made:
        rebuilt = build_network(each.specification)
        rebuilt.load_state_dict(each.state)
        sizes.append(size(rebuilt))
        assert accuracy(rebuilt.eval(), examples) > before - 0.04
        assert all(part.after < part.before for part in each.parts)
    assert all(later < sooner for sooner, later in itertools.pairwise(sizes))
    assert sizes[-1] < sizes[0] / 1.4


def test_what_stops_the_work_is_heard() -> None:
    """Cancelling does not wait for the end of the training."""
    specification, network, examples = learned()

    class StopError(Exception):
        """What a check raises."""

    def stop() -> None:
        raise StopError

    made = smaller_networks(network, specification, examples, PLACE, 120.0, 0, stop)
    with pytest.raises(StopError):
        list(made)


def test_a_teacher_is_followed() -> None:
    """A network that is told nothing but by its teacher becomes like it."""
    specification, network, examples = learned()
    wrong = Examples(examples.inputs, torch.zeros(ROWS, dtype=torch.long), True, rate=5e-3)
    student = build_network(specification)
    tune(student, network, wrong, 10, 60, 0, lambda: None)
    assert accuracy(student, examples) > 0.75
