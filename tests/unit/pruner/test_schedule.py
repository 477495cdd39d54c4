"""Step by step to a gain: what is measured is got, blocks are candidates, numbers are right."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from common.networks.program_network import ProgramNetwork
from services.pruner.domain.blocks import blocks_of, without_block
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.graph import dependencies
from services.pruner.domain.importance import changes
from services.pruner.domain.latency.layer_shape import LayerShape, layers_of
from services.pruner.domain.schedule import Rows, Schedule, Step, Stepping, Target, steps_to
from services.pruner.domain.statistics import estimate_statistics

pytestmark = pytest.mark.slow

ROWS = 8


class Branch(nn.Module):
    """A residual block, or one with a layer of its own on the way past it."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(width, 32), nn.BatchNorm1d(32)
        self.second = nn.Linear(32, outputs)
        self.past = nn.Identity() if width == outputs else nn.Linear(width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.second(functional.relu(self.norm(self.first(features))))
        past: Tensor = self.past(features)
        return found + past


@pytest.fixture
def module() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), Branch(16, 16), Branch(16, 24), nn.Linear(24, 3))


@pytest.fixture
def rows() -> Rows:
    torch.manual_seed(1)
    batches = [((torch.randn(ROWS, 12),), torch.randint(0, 3, (ROWS,))) for _ in range(3)]
    return Rows((torch.randn(2, 12),), batches, functional.cross_entropy)


def seconds(shape: LayerShape) -> float:
    """Returns a time that is proportional to the work."""
    return shape.multiplications * 1e-6


def work(network: ProgramNetwork, rows: Rows) -> float:
    """Returns what the layers of a network take together."""
    known = dependencies(network, rows.example)
    return sum(seconds(each.shape) for each in layers_of(known, ROWS).values())


def target_of(network: ProgramNetwork, rows: Rows, fixed: float = 0.0) -> Target:
    """Returns a machine on which each network takes some time more, a share of the original's."""
    whole = work(network, rows)

    def gain(small: ProgramNetwork) -> float:
        return (1 + fixed) * whole / (work(small, rows) + fixed * whole)

    return Target(ROWS, seconds, gain)


def steps(
    module: nn.Sequential, rows: Rows, schedule: Schedule, fixed: float = 0.0
) -> tuple[ProgramNetwork, list[Step]]:
    network = capture(module.eval(), rows.example)
    return network, list(steps_to(network, rows, target_of(network, rows, fixed), schedule))


@pytest.mark.parametrize("asked", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("fixed", [0.0, 0.1])
def test_the_gain_that_is_measured_is_the_one_that_was_asked_for(
    module: nn.Sequential, rows: Rows, asked: float, fixed: float
) -> None:
    """What takes time beside the layers is made good by them; none of it is known beforehand."""
    _, found = steps(module, rows, Schedule(asked, step=1), fixed)
    assert 0.95 * asked <= found[-1].gain <= 1.06 * asked
    assert asked < 3 or len(found) > 1, "not in one go: units are scored again"
    assert [each.gain for each in found] == sorted(each.gain for each in found)
    assert found[-1].network(torch.randn(5, 12)).shape == (5, 3)


def test_the_original_stays_as_it_is(module: nn.Sequential, rows: Rows) -> None:
    inputs = torch.randn(4, 12)
    before = module.eval()(inputs)
    network, found = steps(module, rows, Schedule(2.0, step=1))
    assert torch.allclose(network(inputs), before, atol=1e-5)
    assert not torch.allclose(found[-1].network(inputs), before, atol=1e-3)


def test_what_cannot_be_reached_ends(module: nn.Sequential, rows: Rows) -> None:
    """A gain of a million is no reason to go on for ever."""
    network, found = steps(module, rows, Schedule(1e6, part=0.5, step=1))
    assert found[-1].gain < 1e6
    assert work(found[-1].network, rows) < work(network, rows) / 4


def test_a_branch_that_adds_nothing_goes_whole(module: nn.Sequential, rows: Rows) -> None:
    """Its removal costs no loss, and gains more than units do."""
    with torch.no_grad():
        for each in module[1].get_submodule("second").parameters():
            each.zero_()
    network, found = steps(module, rows, Schedule(2.0, part=0.05, step=8))
    (first, _) = blocks_of(network, rows.example)
    assert found[0].what == first.sum


def test_what_is_done_after_each_step_is_done_to_its_network(
    module: nn.Sequential, rows: Rows
) -> None:
    network = capture(module.eval(), rows.example)
    seen: list[ProgramNetwork] = []
    target = target_of(network, rows)
    found = list(steps_to(network, rows, target, Schedule(1.5, step=1), recover=seen.append))
    assert seen == [each.network for each in found]


def test_a_network_without_a_block_is_what_is_written_down(
    module: nn.Sequential, rows: Rows
) -> None:
    """Of a residual block the input is left, of one with a layer on the way past it that layer."""
    network = capture(module.eval(), rows.example)
    first, second = blocks_of(network, rows.example)
    inputs = torch.randn(4, 12)
    expected: dict[str, Callable[[Tensor], Tensor]] = {
        first.sum: nn.Sequential(module[0], module[2], module[3]),
        second.sum: nn.Sequential(module[0], module[1], module[2].get_submodule("past"), module[3]),
    }
    for block in (first, second):
        small = without_block(network, block)
        assert torch.allclose(small(inputs), expected[block.sum](inputs), atol=1e-5)
        assert len(small.state_dict()) < len(network.state_dict())


def test_sums_that_no_branch_can_leave_are_no_blocks() -> None:
    """Sums of different shapes, with numbers, and of a thing with itself."""

    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, numbers: Tensor) -> Tensor:
            found: Tensor = self.layer(numbers) + 1
            return (found + found.mean(1, keepdim=True)) + (found + found)

    example = (torch.randn(2, 4),)
    network = capture(Sums().eval(), example)
    found = blocks_of(network, example)
    assert len(found) == 1, "the last one alone: two sums of the same shape"
    assert without_block(network, found[0])(example[0]).shape == (2, 4)


def test_statistics_are_those_of_the_batches() -> None:
    """The mean over batches of each batch's mean and variance, whatever was there before."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    batches = [(3 + 2 * torch.randn(16, 3),) for _ in range(4)]
    network = capture(module.eval(), batches[0])
    weights = {name: each.clone() for name, each in network.named_parameters()}
    estimate_statistics(network, batches)
    state = network.state_dict()
    means = torch.stack([each.mean(0) for (each,) in batches]).mean(0)
    variances = torch.stack([each.var(0) for (each,) in batches]).mean(0)
    assert torch.allclose(state["0.running_mean"], means, atol=1e-5)
    assert torch.allclose(state["0.running_var"], variances, atol=1e-5)
    assert all(torch.equal(state[name], each) for name, each in weights.items())
    assert not network.training


def test_without_statistics_nothing_changes(module: nn.Sequential, rows: Rows) -> None:
    network = capture(nn.Sequential(module[0], nn.ReLU(), nn.Linear(16, 3)).eval(), rows.example)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    estimate_statistics(network, [inputs for inputs, _ in rows.batches])
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())


def test_a_step_that_goes_a_little_far_and_loses_less_is_taken(
    module: nn.Sequential, rows: Rows
) -> None:
    """Nobody wants one that is slower and worse, only for being nearer to what was asked."""
    network = capture(module.eval(), rows.example)
    target = target_of(network, rows)
    worse, better = (Step(what, 2.0, loss, network) for what, loss in (("a", 0.9), ("b", 0.4)))
    stepping = Stepping(dependencies(network, rows.example), rows, target, Schedule(2.0), changes)
    far = replace(better, gain=2.3)
    assert stepping.chosen([far, worse]) is far
    assert stepping.chosen([replace(far, gain=2.6), worse]) is worse
    assert stepping.chosen([replace(far, loss=1.0), worse]) is worse
