"""Shapley values of any model, by exchanging columns one after another.

shap's explainer of this kind compiles for ten seconds in every process, and knows numbers only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from services.analyzer.domain.budget import Budget
from services.analyzer.domain.importance.fed import Fed, Item
from services.analyzer.domain.importance.predicting import read, replaced
from services.analyzer.domain.models.model import Outputs

Positions = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

_BATCH = 8192


@dataclass(frozen=True)
class Exchanging:
    """Explains rows before a background.

    Attributes:
        rows: Explained and background rows.
        items: What is exchanged.
        background: Positions of the background rows.
    """

    rows: Fed
    items: Sequence[Item]
    background: Positions

    @cached_property
    def _known(self) -> Outputs:
        return self._predicted(np.repeat(self.background[:, None], len(self.items), axis=1))

    def contributions(
        self, positions: Positions, outputs: Positions, seed: int, budget: Budget
    ) -> tuple[Numbers, Numbers]:
        """Returns contributions, (rows, items), and what they add to, (rows, 1).

        The columns of a row replace those of all background rows one after another, in an order
        drawn for the row and in the reverse (Strumbelj and Kononenko, 2014; Mitchell and others,
        2022). The sum is exact whatever the order.

        Args:
            positions: Of the rows to explain.
            outputs: Which output of each.
            seed: Of the orders.
            budget: Is told of the progress.
        """
        values = np.zeros((len(positions), len(self.items)))
        for place, (row, output) in enumerate(
            zip(positions.tolist(), outputs.tolist(), strict=True)
        ):
            budget.check()
            order = np.random.default_rng((seed, row)).permutation(len(self.items))
            for each in (order, order[::-1]):
                values[place, each] += np.diff(self._curve(row, output, each)) / 2
        return values, self._known[:, outputs].mean(axis=0)[:, None]

    def _curve(self, row: int, output: int, order: Positions) -> Numbers:
        """Returns the mean output with ever more columns of a row, none to all."""
        count = len(self.items)
        taken = np.argsort(order)[None, :] < np.arange(1, count + 1)[:, None]
        numbers = np.where(taken[:, None, :], row, self.background[None, :, None])
        found = self._predicted(numbers.reshape(-1, count))[:, output]
        means = found.reshape(count, len(self.background)).mean(axis=1)
        return np.concatenate(([self._known[:, output].mean()], means))

    def _predicted(self, numbers: Positions) -> Outputs:
        """Returns outputs for rows each of whose columns is that of a row, (rows, items)."""
        pieces = []
        for start in range(0, len(numbers), _BATCH):
            batch = numbers[start : start + _BATCH]
            base = self.rows.take(batch[:, 0]).inputs
            new = [
                (place, read(self.rows.inputs, place)[batch[:, number]])
                for number, item in enumerate(self.items)
                for place in item.places
            ]
            pieces.append(self.rows.predict(replaced(base, new)))
        return np.concatenate(pieces)
