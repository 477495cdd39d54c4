"""What a network would miss: planted units are found, and changes are near what really changes."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from services.pruner.domain.capture import capture
from services.pruner.domain.dependencies.graph import Coupled, Dependencies, dependencies
from services.pruner.domain.dependencies.removal import masked
from services.pruner.domain.importance import SCORINGS, activations, changes, magnitudes, scales
from services.pruner.domain.specification import Importance

ROWS, WIDTH = 64, 12


class Small(nn.Module):
    """One hidden layer, normalised."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Linear(8, WIDTH), nn.BatchNorm1d(WIDTH)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, numbers: Tensor) -> Any:
        return self.head(functional.relu(self.norm(self.first(numbers))))


@pytest.fixture
def rows() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(ROWS, 8), torch.randint(0, 3, (ROWS,))


def hidden(known: Dependencies) -> Coupled:
    """Returns the units of the only hidden layer."""
    (group,) = known.removable
    assert len(group.units) == WIDTH
    return group


def at_least(known: Dependencies, scores: dict[int, float]) -> int:
    """Returns the position of the unit with the lowest score."""
    own = [scores[unit] for unit in hidden(known).units]
    return int(np.argmin(own))


@torch.no_grad()
def test_a_unit_of_small_weights_has_a_small_magnitude(rows: tuple[Tensor, Tensor]) -> None:
    module = Small().eval()
    for tensor in (module.first.weight, module.first.bias, module.norm.weight):
        tensor[5] *= 0.01
    module.head.weight[:, 5] *= 0.01
    known = dependencies(capture(module, (rows[0],)), (rows[0],))
    scores = dict(magnitudes(known))
    assert at_least(known, scores) == 5
    assert np.mean(list(scores.values())) == pytest.approx(1)


@torch.no_grad()
def test_scales_are_those_of_the_normalisation(rows: tuple[Tensor, Tensor]) -> None:
    module = Small().eval()
    module.norm.weight.copy_(torch.linspace(-1, 1.2, WIDTH))
    known = dependencies(capture(module, (rows[0],)), (rows[0],))
    scores = dict(scales(known))
    assert [scores[unit] for unit in hidden(known).units] == pytest.approx(
        module.norm.weight.abs().tolist()
    )


def test_changes_know_what_the_loss_does_not_need(rows: tuple[Tensor, Tensor]) -> None:
    """A unit with large weights that nothing reads is not important."""
    module = Small().eval()
    with torch.no_grad():
        module.first.weight[7] *= 10
        module.head.weight[:, 7] = 0
    known = dependencies(capture(module, (rows[0],)), (rows[0],))
    batches = [((rows[0],), rows[1])]
    scores = dict(changes(known, batches, functional.cross_entropy, row_by_row=True))
    assert at_least(known, scores) == 7
    assert scores[hidden(known).units[7]] == 0
    assert at_least(known, dict(magnitudes(known))) != 7


def test_changes_rank_units_as_the_real_change_of_the_loss_does(
    rows: tuple[Tensor, Tensor],
) -> None:
    """Row by row: what a batch loses on one row it must not win back on another."""
    module = Small().eval()
    with torch.no_grad():
        module.head.weight *= torch.linspace(0.02, 0.3, WIDTH)
    inputs, truth = rows
    known = dependencies(capture(module, (inputs,)), (inputs,))
    found = changes(known, [((inputs,), truth)], functional.cross_entropy, row_by_row=True)
    units = hidden(known).units
    real = []
    with torch.no_grad():
        before = functional.cross_entropy(known.network(inputs), truth, reduction="none")
        for unit in units:
            after = functional.cross_entropy(masked(known, [unit])(inputs), truth, reduction="none")
            real.append(float((after - before).square().mean()))
    assert spearmanr([found[unit] for unit in units], real).statistic > 0.9


def test_activations_are_those_of_the_rows(rows: tuple[Tensor, Tensor]) -> None:
    """Large weights of what the rows never switch on give nothing."""
    module = Small().eval()
    with torch.no_grad():
        module.first.weight[3] *= 10
        module.first.bias[3] = -1000
        module.norm.bias[4] = 10
    known = dependencies(capture(module, (rows[0],)), (rows[0],))
    scores = dict(activations(known, [((rows[0],), rows[1])]))
    assert np.mean(list(scores.values())) == pytest.approx(1)
    own = [scores[unit] for unit in hidden(known).units]
    with torch.no_grad():
        after = functional.relu(module.norm(module.first(rows[0]))).square().mean(0)
    assert after[3] == 0 and int(after.argmax()) == 4
    assert own[4] > np.median(own)


@pytest.mark.parametrize("importance", list(Importance))
def test_every_way_finds_a_unit_that_does_nothing(
    rows: tuple[Tensor, Tensor], importance: Importance
) -> None:
    """Whatever the user chooses, what is all zeros goes first."""
    module = Small().eval()
    with torch.no_grad():
        for tensor in (module.first.weight, module.first.bias, module.norm.weight):
            tensor[9] = 0
        module.head.weight[:, 9] = 0
    known = dependencies(capture(module, (rows[0],)), (rows[0],))
    scores = SCORINGS[importance](known, [((rows[0],), rows[1])], functional.cross_entropy)
    assert at_least(known, dict(scores)) == 9
