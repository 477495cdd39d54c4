"""Networks of many kinds are pruned right: what is removed changes what setting it to 0 changes."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from common.networks.program import Program
from common.networks.program_network import ProgramNetwork
from services.pruner.domain.capture import NotTraceableError, capture
from services.pruner.domain.dependencies.graph import Dependencies, dependencies
from services.pruner.domain.dependencies.removal import masked, without
from tests.support.architectures import ARCHITECTURES, FOLLOWED


def made(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Returns a network with statistics as after some learning, and an example."""
    torch.manual_seed(0)
    make_module, make_inputs = ARCHITECTURES[name]
    module, inputs = make_module(), make_inputs()
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.add_(torch.rand_like(buffer) / 2)
    return module.eval(), inputs


def some_units(known: Dependencies) -> list[int]:
    """Returns half of the units of each kind."""
    return [unit for group in known.removable for unit in group.units[1::2]]


def close(found: Tensor, expected: Tensor) -> bool:
    return bool(torch.allclose(found, expected, rtol=1e-4, atol=1e-5))


@torch.no_grad()
@pytest.mark.parametrize("name", FOLLOWED)
def test_what_is_removed_is_what_was_masked(name: str) -> None:
    """The promise of structured pruning, for any number of rows; the network itself stays."""
    module, inputs = made(name)
    network = capture(module, inputs)
    assert close(network(*inputs), module(*inputs))
    known = dependencies(network, inputs)
    units = some_units(known)
    assert units, "something may go"
    small = without(known, units)
    assert size(small) < size(network)
    assert close(small(*inputs), masked(known, units)(*inputs))
    single = [each[:1] for each in inputs]
    assert close(small(*single), masked(known, units)(*single))
    assert close(network(*inputs), module(*inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_a_pruned_network_is_kept_loaded_learned_and_pruned_again(name: str) -> None:
    """What comes out is a network like any other: no Python of the original is needed."""
    module, inputs = made(name)
    known = dependencies(capture(module, inputs), inputs)
    small = without(known, some_units(known))
    loaded = reloaded(small)
    assert close(loaded(*inputs), small(*inputs))
    before = {key: value.clone() for key, value in loaded.state_dict().items()}
    losses = learned(loaded, inputs)
    assert losses[-1] < losses[0]
    changed = {
        key for key, value in loaded.named_parameters() if not torch.equal(value, before[key])
    }
    assert len(changed) > len(before) / 3, "not the head alone has learned"
    again = dependencies(loaded, inputs)
    assert again.removable
    smaller = without(again, some_units(again))
    assert close(smaller(*inputs), masked(again, some_units(again))(*inputs))


def test_what_depends_on_values_is_refused() -> None:
    module, inputs = made("dynamic_control_flow")
    with pytest.raises(NotTraceableError, match="cannot be followed"):
        capture(module, inputs)


def size(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def reloaded(network: ProgramNetwork) -> ProgramNetwork:
    """Returns a network made of nothing but JSON and tensors."""
    program = Program.from_json(network.program.to_json())
    parameters = {name: each.detach().clone() for name, each in network.named_parameters()}
    buffers = {name: copy.deepcopy(each) for name, each in network.named_buffers()}
    return ProgramNetwork(program, parameters, buffers).eval()


def learned(network: ProgramNetwork, inputs: Sequence[Tensor]) -> list[float]:
    """Trains a network for some steps, and returns its losses."""
    network.train()
    torch.manual_seed(1)
    wanted = torch.randn_like(network(*inputs))
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (network(*inputs) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    network.eval()
    return losses
