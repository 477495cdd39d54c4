"""What is known of a search, as numbers to learn from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtri

from services.tuner.domain.space.configuration import Configuration
from services.tuner.domain.space.encoding import Rows, Vector

_SHARE = 0.02
_FLATTER = 0.05
_LARGEST = 1e300


class View(StrEnum):
    """How losses are looked at. Searches need different ones, so that they take turns."""

    SHARP = "sharp"
    """On a log scale that begins a little below the best: differences of good ones count most."""
    SMOOTH = "smooth"
    """The root of the distance from the best: a bowl becomes a cone."""
    RANKED = "ranked"
    """Ranks as values of a normal distribution: nothing depends on how bad the bad ones are."""


@dataclass(frozen=True)
class Told:
    """A trial that ended.

    Attributes:
        configuration: What was tried.
        loss: Smaller is better; one of each objective where there are several; not finite where
            the trial failed.
        cost: What it took, for instance seconds; 0 where that does not matter.
    """

    configuration: Configuration
    loss: float | tuple[float, ...]
    cost: float = 0.0

    @property
    def losses(self) -> tuple[float, ...]:
        """One of each objective."""
        return self.loss if isinstance(self.loss, tuple) else (self.loss,)


def learnable_losses(
    told: Sequence[Told], generator: np.random.Generator, view: View = View.SHARP
) -> Vector | None:
    """Returns one loss of each trial, of like scale; None where none has succeeded.

    Failed trials get the worst loss. Several objectives are weighed at random (ParEGO): over many
    calls all of the front is looked for.
    """
    all_losses = [each.losses for each in told]
    width = max((len(each) for each in all_losses), default=1)
    failed = (math.inf,) * width
    losses = np.array([each if len(each) == width else failed for each in all_losses])
    losses = losses.reshape(-1, width)
    good = np.isfinite(losses).all(axis=1)
    if not good.any():
        return None
    single = losses[good, 0] if width == 1 else _scalarised(losses[good], generator)
    found = np.empty(len(told))
    found[good] = _spread(np.clip(single, -_LARGEST, _LARGEST), view)
    found[~good] = found[good].max()
    return found


def learnable_costs(told: Sequence[Told]) -> Vector | None:
    """Returns the logarithm of each cost; None where costs do not matter."""
    costs = np.array([each.cost for each in told])
    if not (np.isfinite(costs) & (costs > 0)).all():
        return None
    found: Vector = np.log(costs)
    return found


def _scalarised(losses: Rows, generator: np.random.Generator) -> Vector:
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1.0)
    weights = generator.dirichlet(np.ones(losses.shape[1]))
    weighed = scaled * weights
    found: Vector = weighed.max(axis=1) + _FLATTER * weighed.sum(axis=1)
    return found


def _spread(losses: Vector, view: View) -> Vector:
    if view is View.RANKED:
        ordered = np.sort(losses)
        below, most = (np.searchsorted(ordered, losses, side) for side in ("left", "right"))
        return np.asarray(ndtri((below + most) / (2 * len(losses))))
    low, middle = float(losses.min()), float(np.median(losses))
    scale = middle - low
    if scale <= 0:
        scale = float(losses.max()) - low
    if scale <= 0:
        return np.zeros(len(losses))
    ratio = (losses - low) / scale
    return np.asarray(np.sqrt(ratio) if view is View.SMOOTH else np.log(ratio + _SHARE))
