"""How much a network needs of each of its layers."""

import torch
from torch import nn

from services.pruner.domain.dependencies.graph import Coupled, Dependencies
from services.pruner.domain.dependencies.removal import masked
from services.pruner.domain.importance import Scores
from services.pruner.domain.schedule import Rows

_WEIGHT = ".weight"


@torch.no_grad()
def sensitivities(
    known: Dependencies, rows: Rows, scores: Scores, network: nn.Module
) -> dict[str, float]:
    """Returns by how much the loss rises when half of what a layer gives is 0, by the layer's name.

    It is the half that matters less. What goes together, as channels that are added up, is 0
    together: layers that give it have the same number.

    Args:
        known: What goes together in the network.
        rows: Those that losses are measured on.
        scores: Of units, the larger the more important.
        network: The module that the network was captured from.
    """
    modules, found = dict(network.named_modules()), dict[str, float]()
    whole = rows.mean_loss(known.network)
    for group in known.removable:
        units = sorted((each for each in group.units if each in scores), key=scores.__getitem__)
        half = units[: len(units) // 2]
        if half:
            rise = rows.mean_loss(masked(known, half)) - whole
            found |= dict.fromkeys(_layers(group, modules), rise)
    return found


def _layers(group: Coupled, modules: dict[str, nn.Module]) -> list[str]:
    """Returns the names of the layers that give what a group is made of."""
    weights = [place for place in group.places if place[0].endswith(_WEIGHT)]
    names = [(name.removesuffix(_WEIGHT), at) for name, at in weights]
    return [name for name, at in names if at == _axis(modules.get(name))]


def _axis(layer: nn.Module | None) -> int | None:
    """Returns the dimension of a layer's weights that is what it gives."""
    if isinstance(layer, nn.Embedding):
        return 1
    return 0 if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) else None
