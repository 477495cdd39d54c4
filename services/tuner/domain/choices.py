"""Which settings matter: how much of the differences between candidates each one explains.

Source: Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter
importance (functional analysis of variance, 2014); shares are those of main effects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from services.tuner.domain.space.configuration import Setting
from services.tuner.domain.space.encoding import ABSENT, Rows, Vector
from services.tuner.domain.space.parameter import Parameter
from services.tuner.domain.space.space import Space
from services.tuner.domain.surrogate.history import Told, View, learnable_losses

if TYPE_CHECKING:
    from services.tuner.domain.surrogate.forest import Forest

_TREES = 60
_DRAWN = 20_000
_BINS = 12
_PARTS = 5
FEWEST_TRIALS = 8


@dataclass(frozen=True)
class Choice:
    """A parameter and what hangs on it.

    Attributes:
        name: Of the parameter.
        share: Of the variance of losses over the whole space that it explains alone, 0 to 1.
        best: The value that is best in the mean over all others; of a range the middle of its
            best part.
    """

    name: str
    share: float
    best: Setting


@dataclass(frozen=True)
class Choices:
    """What hangs on each parameter of a space.

    Attributes:
        choices: The most important first.
        trials: How many were learned from.
        foretold: Share of the variance of the losses of trials that were not learned from that is
            foretold; near 0 nothing here means much, 1 is all.
    """

    choices: tuple[Choice, ...]
    trials: int
    foretold: float

    @property
    def together(self) -> float:
        """Share of the variance that no parameter explains alone."""
        return max(0.0, 1.0 - sum(each.share for each in self.choices))


def important_choices(space: Space, told: Sequence[Told], seed: int = 0) -> Choices | None:
    """Returns what hangs on each parameter; None where there are too few trials to tell.

    A forest learns losses as ranks, so that a few that are very bad do not count for all. Its
    means over many configurations at random are compared between values of one parameter; of one
    that counts only where another has some value, over those where it does.

    Args:
        space: What was searched.
        told: Trials that ended; the space has their configurations.
        seed: Of all chance.
    """
    generator = np.random.default_rng(seed)
    losses = learnable_losses(told, generator, View.RANKED)
    if losses is None or len(losses) < FEWEST_TRIALS or not np.ptp(losses):
        return None
    rows = space.encoding.rows([each.configuration for each in told])
    forest = _grown(rows, losses, space, generator)
    drawn = space.encoding.drawn(generator, _DRAWN)
    predicted, _ = forest.predicted(drawn)
    variance = float(predicted.var())
    if not len(drawn) or variance <= 0:
        return None
    found = [
        _choice(parameter, drawn[:, place], predicted, variance)
        for place, parameter in enumerate(space.parameters)
    ]
    ranked = sorted((each for each in found if each), key=lambda each: -each.share)
    return Choices(tuple(ranked), len(told), _foretold(space, rows, losses, generator))


def _grown(rows: Rows, losses: Vector, space: Space, generator: np.random.Generator) -> "Forest":
    # Imported here: the compiler comes with it, which nobody needs before the end of a search.
    from services.tuner.domain.surrogate.forest import ForestSettings, grown  # noqa: PLC0415

    settings = ForestSettings(trees=_TREES, least=2, is_bootstrapped=True)
    return grown(rows, losses, space.encoding.choices, generator, settings)


def _choice(
    parameter: Parameter, shares: Vector, predicted: Vector, variance: float
) -> Choice | None:
    """Returns the share of a parameter: variance between its values, less what chance makes."""
    counts = shares != ABSENT
    if parameter.scale.count < 2 or counts.sum() <= _BINS:
        return None
    count = parameter.scale.count
    bins = int(count) if count <= 2 * _BINS else _BINS
    own = predicted[counts]
    places = np.clip((shares[counts] * bins).astype(np.int64), 0, bins - 1)
    masses = np.bincount(places, minlength=bins)
    filled = np.flatnonzero(masses)
    means = np.bincount(places, own, bins)[filled] / masses[filled]
    between = float((masses[filled] * (means - own.mean()) ** 2).sum())
    within = max(float(((own - own.mean()) ** 2).sum()) - between, 0.0)
    chance = (len(filled) - 1) * within / max(len(own) - len(filled), 1)
    share = max(0.0, between - chance) / (len(predicted) * variance)
    best = parameter.at((float(filled[means.argmin()]) + 0.5) / bins)
    return Choice(parameter.name, share, best)


def _foretold(space: Space, rows: Rows, losses: Vector, generator: np.random.Generator) -> float:
    """Returns the determination of losses by forests that learned from others."""
    parts = generator.permutation(len(losses)) % _PARTS
    predicted = np.empty(len(losses))
    for part in range(_PARTS):
        inside = parts == part
        forest = _grown(rows[~inside], losses[~inside], space, generator)
        predicted[inside] = forest.predicted(rows[inside])[0]
    missed = float(((losses - predicted) ** 2).sum())
    return max(0.0, 1.0 - missed / float(((losses - losses.mean()) ** 2).sum()))
