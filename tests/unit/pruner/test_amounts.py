"""How much goes of which layer: shapes that are foretold, time that is kept to, widths that pay."""

import math

import pytest
import torch
from torch import Tensor, nn

from services.pruner.domain.amounts import Wanted, units_to_remove
from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.graph import Dependencies, dependencies
from services.pruner.domain.dependencies.removal import without
from services.pruner.domain.latency.layer_shape import LayerShape, layers_of
from services.pruner.domain.latency.layer_times import LayerTimes
from tests.support.architectures import ARCHITECTURES, FOLLOWED

ROWS = 32


def known_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> Dependencies:
    return dependencies(capture(module, inputs), inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_shapes_are_foretold_before_anything_is_removed(name: str) -> None:
    """Time is looked up for shapes: they must be those of the network that is then made."""
    make_module, make_inputs = ARCHITECTURES[name]
    inputs = make_inputs()
    known = known_of(make_module(), inputs)
    units = [unit for group in known.removable for unit in group.units[::2]]
    units = [unit for unit in units if unit not in [group.units[0] for group in known.removable]]
    foretold = {key: each.without(units) for key, each in layers_of(known, ROWS).items()}
    again = dependencies(without(known, units), inputs)
    assert foretold == {key: each.shape for key, each in layers_of(again, ROWS).items()}


def test_multiplications_are_those_of_the_formula() -> None:
    """Of a convolution: places, kernel, channels of a group."""
    shape = LayerShape(2, 8, 16, (9, 7), (3, 3), (2, 1), (1, 0), (1, 2), 4)
    assert shape.multiplications == 2 * 5 * 3 * 16 * 3 * 3 * 8 // 4
    assert LayerShape(4, 10, 3).multiplications == 120


def stepped(shape: LayerShape) -> float:
    """Returns the time of a runtime that computes eight channels at once."""
    return float(shape.rows * 8 * math.ceil(shape.inputs / 8) * 8 * math.ceil(shape.outputs / 8))


@pytest.fixture(scope="module")
def perceptron() -> Dependencies:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)
    )
    return known_of(module, (torch.randn(3, 16),))


@pytest.mark.parametrize("share", [0.75, 0.5, 0.25])
def test_layers_are_made_as_quick_as_is_wanted_by_what_matters_least(
    perceptron: Dependencies, share: float
) -> None:
    layers = layers_of(perceptron, ROWS)
    first, second = (group.units for group in perceptron.removable)
    scores = {unit: 1.0 + at for at, unit in enumerate(first)}
    scores |= {unit: 100.0 + at for at, unit in enumerate(second)}
    total = sum(stepped(each.shape) for each in layers.values())
    gone = units_to_remove(perceptron, layers, stepped, scores, Wanted(share * total))
    left = sum(stepped(each.without(gone)) for each in layers.values())
    assert left <= share * total
    for own in (first, second):
        kept = [unit for unit in own if unit not in gone]
        assert len(kept) % 8 == 0, "no width between steps, which gains nothing"
        assert kept == list(own[len(own) - len(kept) :]), "the most important ones stay"
    assert len(gone & set(first)) >= len(gone & set(second))
    small = without(perceptron, gone)
    assert small(torch.randn(3, 16)).shape == (3, 4)


def test_what_cannot_be_reached_goes_as_far_as_may_be(perceptron: Dependencies) -> None:
    layers = layers_of(perceptron, ROWS)
    scores = {unit: 1.0 for group in perceptron.removable for unit in group.units}
    gone = units_to_remove(perceptron, layers, stepped, scores, Wanted(0.0, step=1, least=0.25))
    assert perceptron.removable
    for group in perceptron.removable:
        kept = [unit for unit in group.units if unit not in gone]
        assert len(kept) == 16, "a quarter stays, though one step alone gains no time"


def test_time_is_measured_once_for_a_shape() -> None:
    """More work takes longer in a real runtime; asking again takes none."""
    times = LayerTimes()
    small, large = (
        LayerShape(32, 16, 16, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1)),
        LayerShape(32, 64, 64, (16, 16), (3, 3), (1, 1), (1, 1), (1, 1)),
    )
    assert 0 < times.seconds(small) < times.seconds(large)
    assert times.seconds(small) == times.known[small]
    assert len(times.known) == 2
