"""What is wanted of trials."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST = 10


class Direction(StrEnum):
    """Which values are better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True)
class Objective:
    """Something that is measured of each trial.

    Attributes:
        name: Unique in its study.
        direction: Which values are better.
    """

    name: str
    direction: Direction = Direction.MINIMIZE

    def loss(self, value: float) -> float:
        """Returns what is smaller for better values; not a number stays what it is."""
        return -value if self.direction is Direction.MAXIMIZE else value


def objective_flaws(objectives: Sequence[Objective]) -> list[str]:
    """Returns what is wrong with objectives, in sentences that name the cure."""
    names = [each.name for each in objectives]
    found = [] if names else ["The study has no objective: give at least one."]
    if len(names) > MOST:
        found.append(f"The study has {len(names)} objectives: give at most {MOST}.")
    if not all(names):
        found.append("An objective has no name: give each one.")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    found += [f"The objective {name} is there twice: rename one of them." for name in twice]
    return found


def losses_of(objectives: Sequence[Objective], values: Sequence[float]) -> tuple[float, ...]:
    """Returns the loss of each objective; infinite ones where values are missing or not numbers."""
    if len(values) != len(objectives):
        return (math.inf,) * len(objectives)
    losses = tuple([each.loss(value) for each, value in zip(objectives, values, strict=True)])
    if any(map(math.isnan, losses)):
        return tuple(math.inf if math.isnan(loss) else loss for loss in losses)
    return losses
