"""How much a network would miss each of its units."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from common.networks.program import State
from common.networks.program_network import ProgramNetwork, base_name
from services.pruner.domain.dependencies.graph import Dependencies
from services.pruner.domain.dependencies.layout import Layout
from services.pruner.domain.specification import Importance

Scores = Mapping[int, float]
"""Of units; those of different places can be compared, as far as the way of scoring says so."""

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Sequence[Tensor], Tensor]]
"""What a network takes in, and the truth."""

Scoring = Callable[[Dependencies, Batches, Loss], Scores]
"""Says how important units are: the larger, the more."""

_TINY = 1e-12


def magnitudes(dependencies: Dependencies) -> Scores:
    """Returns the norm of each unit's weights by the mean of its kind (Li et al., 2017)."""
    squares = {
        name: each.detach().square() for name, each in dependencies.network.named_parameters()
    }
    return _by_kind(
        dependencies, {unit: v**0.5 for unit, v in _sums(dependencies, squares).items()}
    )


def scales(dependencies: Dependencies) -> Scores:
    """Returns what normalisations scale units by, of those that one scales (Liu et al., 2017)."""
    scaled = {
        operation.arguments[1]
        for operation in dependencies.network.program.operations
        if base_name(operation.kind) == "batch_norm"
    }
    sizes = {
        name: each.detach().abs()
        for name, each in dependencies.network.named_parameters()
        if State(name) in scaled
    }
    return _sums(dependencies, sizes)


def changes(
    dependencies: Dependencies, batches: Batches, loss: Loss, *, row_by_row: bool = False
) -> Scores:
    """Returns the square of the change of the loss to first order if a unit were 0.

    Sources: Molchanov et al., Importance estimation for neural network pruning (2019); row by row
    it is the diagonal of the Fisher information, hence of second order (Theis et al., Faster gaze
    prediction with dense networks and Fisher pruning, 2018).

    Args:
        dependencies: Of the network, which is put into evaluation.
        batches: Rows that say what matters.
        loss: Of outputs and truth, the mean of rows.
        row_by_row: Whether squares are taken of each row, not of batches.
    """
    network = dependencies.network.eval()
    totals: dict[int, float] = {}
    count = 0
    for inputs, truth in batches:
        for some, own in _parts(inputs, truth) if row_by_row else [(inputs, truth)]:
            found = _change(network, dependencies, some, own, loss)
            count += 1
            for unit, change in found.items():
                totals[unit] = totals.get(unit, 0.0) + change**2
    return {unit: total / max(count, 1) for unit, total in totals.items()}


@torch.no_grad()
def activations(dependencies: Dependencies, batches: Batches) -> Scores:
    """Returns how large what units give is, by the mean of its kind.

    It is the root of the mean square of all values that a unit makes on the way through the network
    (Molchanov et al., Pruning convolutional neural networks for resource efficient inference, 2017,
    take their mean).

    Args:
        dependencies: Of the network, which is put into evaluation.
        batches: Rows that say what matters.
    """
    network, totals = dependencies.network.eval(), dict[int, float]()
    for inputs, _ in batches:
        values = dict(zip(network.program.inputs, inputs, strict=True))
        for operation in network.program.operations:
            values[operation.name] = network.done(operation, values)
            layout = dependencies.following.layouts[operation.name]
            if isinstance(layout, Layout) and isinstance(values[operation.name], Tensor):
                _add_squares(totals, dependencies, layout, values[operation.name])
    return _by_kind(dependencies, {unit: total**0.5 for unit, total in totals.items()})


def _add_squares(
    totals: dict[int, float], dependencies: Dependencies, layout: Layout, values: Tensor
) -> None:
    """Adds the mean squares of a tensor's units, in shares of that of all of them."""
    if not values.is_floating_point():
        return
    squares = values.double().square()
    for at in range(values.dim()):
        band = layout.band(at)
        if band is None or len(band.axes) > 1:
            continue
        others = [each for each in range(values.dim()) if each != at]
        along = squares.mean(others) if others else squares
        roots = dependencies.following.units.roots(band.labels)
        shares = along / max(float(along.mean()), _TINY)
        for unit, share in zip(roots.tolist(), shares.tolist(), strict=True):
            totals[unit] = totals.get(unit, 0.0) + share


SCORINGS: Mapping[Importance, Scoring] = MappingProxyType(
    {
        Importance.TAYLOR: changes,
        Importance.FISHER: partial(changes, row_by_row=True),
        Importance.MAGNITUDE: lambda known, batches, loss: magnitudes(known),
        Importance.NORM_SCALE: lambda known, batches, loss: scales(known),
        Importance.ACTIVATION: lambda known, batches, loss: activations(known, batches),
    }
)
"""By what the user may choose."""


def _parts(inputs: Sequence[Tensor], truth: Tensor) -> list[tuple[Sequence[Tensor], Tensor]]:
    rows = range(len(truth))
    return [([each[row : row + 1] for each in inputs], truth[row : row + 1]) for row in rows]


def _change(
    network: ProgramNetwork,
    dependencies: Dependencies,
    inputs: Sequence[Tensor],
    truth: Tensor,
    loss: Loss,
) -> Mapping[int, float]:
    parameters = dict(network.named_parameters())
    with torch.enable_grad():
        slopes = torch.autograd.grad(
            loss(network(*inputs), truth), list(parameters.values()), allow_unused=True
        )
    products = {
        name: own.detach() * slope
        for (name, own), slope in zip(parameters.items(), slopes, strict=True)
        if slope is not None
    }
    return _sums(dependencies, products)


def _sums(dependencies: Dependencies, values: Mapping[str, Tensor]) -> dict[int, float]:
    """Returns for each unit the sum of what its parameters have."""
    totals: dict[int, float] = {}
    for (name, at), roots in dependencies.roots.items():
        if name not in values:
            continue
        own = values[name]
        others = [each for each in range(own.dim()) if each != at]
        along = (own.sum(others) if others else own).double().numpy()
        units, places = np.unique(roots, return_inverse=True)
        sums = np.bincount(places, weights=along).tolist()
        for unit, total in zip(units.tolist(), sums, strict=True):
            totals[unit] = totals.get(unit, 0.0) + total
    return totals


def _by_kind(dependencies: Dependencies, scores: Mapping[int, float]) -> Scores:
    """Returns scores relative to the mean of the units in the same places."""
    found: dict[int, float] = {}
    for group in dependencies.removable:
        own = [scores.get(unit, 0.0) for unit in group.units]
        mean = sum(own) / len(own) or 1.0
        found |= {unit: score / mean for unit, score in zip(group.units, own, strict=True)}
    return found
