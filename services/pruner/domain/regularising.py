"""Which units are driven towards zero before any is removed."""

from collections.abc import Collection

import torch
from torch import Tensor

from services.pruner.domain.amounts import Wanted, units_to_remove
from services.pruner.domain.dependencies.graph import Dependencies
from services.pruner.domain.importance import Scoring, changes
from services.pruner.domain.latency.layer_shape import layers_of
from services.pruner.domain.schedule import Rows, Target


def first_to_go(
    known: Dependencies,
    rows: Rows,
    target: Target,
    gain: float,
    step: int,
    score: Scoring = changes,
) -> frozenset[int]:
    """Returns the units that would go at once for a gain.

    Args:
        known: Of the network.
        rows: What it learns from.
        target: Where it is to run.
        gain: How many times less time its layers are to take.
        step: Widths are multiples of it.
        score: Of units, the larger the more important.
    """
    layers = layers_of(known, target.rows)
    scores = score(known, rows.batches, rows.loss)
    now = sum(target.seconds(each.shape) for each in layers.values())
    return units_to_remove(known, layers, target.seconds, scores, Wanted(now / gain, step))


def numbers_of(known: Dependencies, units: Collection[int]) -> dict[str, Tensor]:
    """Returns what units are made of: 1 for their numbers, 0 for others, by parameters' names."""
    found: dict[str, Tensor] = {}
    parameters = dict(known.network.named_parameters())
    for name, at in known.roots:
        indices = known.removed((name, at), frozenset(units))
        if name in parameters and len(indices):
            shares = found.setdefault(name, torch.zeros(parameters[name].shape))
            shares.index_fill_(at, torch.from_numpy(indices), 1.0)
    return found
