"""Backward elimination: a model is fitted without some columns, and its losses decide."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.pruner.domain.features.coding import Floats

Refit = Callable[[list[str]], Any]
"""Returns a model that was fitted on some columns."""


@dataclass(frozen=True)
class Step:
    """What came of leaving columns out.

    Attributes:
        is_taken: Whether they stay out.
        increase: By how much the mean loss grew; below 0 where it became less.
        error: Standard error of that, of the same rows with and without.
        others: How many were left out at the same time.
    """

    is_taken: bool
    increase: float
    error: float
    others: int


@dataclass
class Elimination:
    """Columns that are still there, and what was tried with each.

    Attributes:
        kept: Names, in order.
        losses: Of the model with these columns on rows that it did not learn, (rows,).
        refit: See `Refit`.
        losses_of: Returns the losses of a model that takes some columns, (rows,).
        check: Raises to stop.
        deadline: On the monotonic clock; no model is fitted that would not be done by then.
        steps: The last one of each column that was tried.
        best: The losses of lowest mean so far: small increases do not add up unseen.
    """

    kept: list[str]
    losses: Floats
    refit: Refit
    losses_of: Callable[[Any, list[str]], Floats]
    check: Callable[[], None]
    deadline: float
    steps: dict[str, Step] = field(default_factory=dict)
    best: Floats = field(init=False)
    _longest: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """The losses at hand are the lowest so far."""
        self.best = self.losses

    def leave_out(self, names: Sequence[str], allowed: float) -> None:
        """Leaves out all of some columns, or else those halves of them that can go.

        Args:
            names: The least needed first.
            allowed: By how many standard errors the mean loss may grow; below 0 it must fall.
        """
        if self._goes(names, allowed) or len(names) < 2:
            return
        half = len(names) // 2
        self.leave_out(names[:half], allowed)
        self.leave_out(names[half:], allowed)

    def leave_out_weakest(self, names: Sequence[str], allowed: float) -> None:
        """Leaves out all of some columns, or else the first half, or a quarter and so on."""
        while names and not self._goes(names, allowed):
            names = names[: len(names) // 2]

    def _goes(self, names: Sequence[str], allowed: float) -> bool:
        """Fits without some columns and returns whether they are gone."""
        left = [each for each in self.kept if each not in set(names)]
        if not names or not left or time.monotonic() + self._longest > self.deadline:
            return False
        self.check()
        started = time.monotonic()
        losses = self.losses_of(self.refit(left), left)
        self._longest = max(self._longest, time.monotonic() - started)
        # Of losses that are not finite nothing is known, and that compares as false: columns stay.
        with np.errstate(invalid="ignore"):
            increases = losses - self.best
            error = float(np.std(increases) / max(len(increases) - 1, 1) ** 0.5)
        increase = float(increases.mean())
        is_taken = increase <= allowed * error
        self.steps |= {each: Step(is_taken, increase, error, len(names) - 1) for each in names}
        if is_taken:
            self.kept, self.losses = left, losses
            self.best = min(self.best, losses, key=np.mean)
        return is_taken
