"""Other rows' values instead of a column's own: what only it says is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.stats import t as student

from services.pruner.domain.features.coding import Coding, Floats, Positions

_SHRINKAGE = 0.02


@dataclass(frozen=True)
class Knockoffs:
    """Draws values of columns given all others.

    A model-X knock-off of a Gaussian (Candes et al., Panning for gold, 2018, section 4: conditional
    randomisation) is found for ranks, then each row gets the own value of that rank: so values stay
    possible ones, of any kind, and a column that depends on no other is merely shuffled.

    Attributes:
        scores: Of the rows, see `Coding`, (rows, columns).
        precision: Inverse of their covariance, (columns, columns).
    """

    scores: Floats
    precision: Floats

    @classmethod
    def of(cls, known: Coding, coding: Coding) -> Self:
        """Learns dependences from some rows, to be used on others."""
        count = known.scores.shape[1]
        covariance = known.scores.T @ known.scores / max(len(known.scores), 1)
        shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.eye(count)
        return cls(coding.scores, np.asarray(np.linalg.inv(shrunk), np.float64))

    def order(self, group: Sequence[int], generator: np.random.Generator) -> Positions:
        """Returns which row's values each row gets of a group, (rows,).

        It is given the columns beyond the group; all of a group are taken from the same row.

        Args:
            group: Positions of columns; the first is the one whose ranks are drawn.
            generator: Draws.
        """
        own = self.scores[:, group[0]]
        inside = np.linalg.inv(self.precision[np.ix_(group, group)])
        residuals = (self.scores @ self.precision[:, group]) @ inside[:, 0]
        drawn = own - residuals + generator.permutation(residuals)
        # By chance among equals, or rows that are alike would keep their neighbours' values.
        ties = generator.random(len(own))
        order = np.empty(len(own), np.int64)
        order[np.argsort(drawn)] = np.lexsort((ties, own))
        return order


def replaced(frame: pd.DataFrame, columns: Sequence[int], order: Positions) -> pd.DataFrame:
    """Returns a data frame in which some columns have the values of other rows."""
    names = frame.columns[list(columns)]
    return frame.assign(**{name: frame[name].array[order] for name in names})


def chance_of(increases: Floats) -> float:
    """Returns the p-value that losses are no larger than before, by a one-sided t-test.

    Args:
        increases: By row, (rows,).
    """
    spread = increases.std(ddof=1) if len(increases) > 1 else 0.0
    if not spread > 0:
        return 1.0
    return float(student.sf(increases.mean() / spread * len(increases) ** 0.5, len(increases) - 1))
