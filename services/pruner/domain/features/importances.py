"""What a fitted model loses on rows that it did not learn when columns become knock-offs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from services.pruner.domain.features.coding import Coding, Floats, sampled
from services.pruner.domain.features.knockoffs import Knockoffs, chance_of, replaced

RowLosses = Callable[[Any, pd.DataFrame, npt.NDArray[Any]], Floats]
"""Losses of a model for rows of a data frame with their truth, (rows,)."""

_Swap = tuple[Sequence[int], Sequence[int]]
"""A group, and which of its columns become knock-offs; the first of the group is drawn by."""

_AT_ONCE = 8192
_REPEATS = 2
_FEWEST_ROWS = 100


@dataclass(frozen=True)
class Importances:
    """What columns are worth to a model.

    Attributes:
        increases: By how much the mean loss grows when one becomes a knock-off, (columns,);
            NaN where there was no time to see.
        errors: Their standard errors, (columns,).
        chances: p-values that it does not grow when its whole group becomes one, (columns,).
        losses: Of the rows as they are, all of them, (rows,).
    """

    increases: Floats
    errors: Floats
    chances: Floats
    losses: Floats


@dataclass(frozen=True)
class Judge:
    """Asks a model about rows in which some columns are knock-offs.

    Attributes:
        model: It.
        row_losses: See `RowLosses`.
        frame: Rows that it did not learn.
        truth: Of these.
        generator: Draws.
        check: Raises to stop.
    """

    model: Any
    row_losses: RowLosses
    frame: pd.DataFrame
    truth: npt.NDArray[Any]
    generator: np.random.Generator
    check: Callable[[], None]

    def importances(
        self, known: Coding, groups: Sequence[Sequence[int]], seconds: float
    ) -> Importances:
        """Returns importances, of as many rows and then as many groups as there is time for.

        Args:
            known: Of the rows that the model learned.
            groups: Positions of columns that are nearly the same; the first ones come first.
            seconds: How long it may take, but for a little.
        """
        started = time.monotonic()
        losses = self.row_losses(self.model, self.frame, self.truth)
        took = time.monotonic() - started
        calls = _REPEATS * sum(map(len, map(_swaps, groups)))
        affordable = int(len(losses) * seconds / max(took * calls, 1e-9))
        rows = sampled(len(losses), max(affordable, _FEWEST_ROWS), self.generator)
        coding = Coding.of(self.frame)
        knockoffs = Knockoffs.of(known, Coding(coding.scores[rows], coding.bins[rows]))
        some = replace(self, frame=self.frame.iloc[rows], truth=self.truth[rows])
        found = some._measured(knockoffs, groups, losses[rows], started + seconds)
        return Importances(*found, losses)

    def _measured(
        self,
        knockoffs: Knockoffs,
        groups: Sequence[Sequence[int]],
        own: Floats,
        deadline: float,
    ) -> tuple[Floats, Floats, Floats]:
        """Returns increases, errors and chances of columns, see `Importances`."""
        count = len(self.frame.columns)
        increases, errors, chances = np.full(count, np.nan), np.zeros(count), np.ones(count)
        size = max(_AT_ONCE // (_REPEATS * len(own)), 1)
        for start in range(0, len(groups), size):
            swaps = [swap for group in groups[start : start + size] for swap in _swaps(group)]
            if time.monotonic() > deadline:
                break
            for (group, columns), losses in zip(swaps, self._losses(knockoffs, swaps), strict=True):
                # What is not finite is not known.
                with np.errstate(invalid="ignore"):
                    found = losses - own
                    increases[columns] = found.mean()
                    errors[columns] = np.std(found) / len(own) ** 0.5
                    if len(columns) == len(group):
                        chances[columns] = chance_of(found)
        return increases, errors, chances

    def _losses(self, knockoffs: Knockoffs, swaps: Sequence[_Swap]) -> Floats:
        """Returns losses where columns are knock-offs, the mean of several, (swaps, rows)."""
        self.check()
        frames = [
            replaced(self.frame, columns, knockoffs.order(group, self.generator))
            for group, columns in swaps
            for _ in range(_REPEATS)
        ]
        # All at once: many a model takes as long for a few rows as for hundreds.
        truth = np.concatenate([self.truth] * len(frames))
        found = self.row_losses(self.model, pd.concat(frames, ignore_index=True), truth)
        shaped = np.asarray(found, np.float64).reshape(len(swaps), _REPEATS, -1)
        return np.asarray(shaped.mean(axis=1))


def _swaps(group: Sequence[int]) -> list[_Swap]:
    """Returns what is asked of a group: what it is worth as a whole, then each of its columns."""
    if len(group) < 2:
        return [(group, group)]
    orders = [[each, *(other for other in group if other != each)] for each in group]
    return [(group, group), *((order, order[:1]) for order in orders)]
