"""Outputs of models as columns for other models. Imports pandas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.models.estimators.combining import Floats, Mean, scores_of

_LARGEST_SCORE = 8.0


@dataclass(frozen=True)
class StackedColumns:
    """Makes columns of the outputs of base models.

    Attributes:
        numbers: Of the base models, in order; the columns are named after them.
        mean: How outputs become scores: `plain` of a regression, else see `Mean`.
        centre: Means of the scores, (scores,); empty where none are projected.
        directions: Principal directions of the scores, (columns, scores); empty alike.
    """

    numbers: tuple[int, ...]
    mean: str
    centre: Floats
    directions: Floats

    def scores(self, outputs: Sequence[npt.NDArray[np.floating]]) -> Floats:
        """Returns the scores before they are projected, (rows, scores).

        Of two classes there is one score, for the other is its negative.

        Args:
            outputs: Of the base models, each (rows, outputs).
        """
        return np.column_stack([_scores(each, Mean(self.mean)) for each in outputs])

    def values(self, outputs: Sequence[npt.NDArray[np.floating]]) -> Floats:
        """Returns the columns as a matrix, (rows, columns)."""
        scores = self.scores(outputs)
        if not len(self.directions):
            return scores
        return np.asarray((scores - self.centre) @ self.directions.T)

    def added(
        self, features: pd.DataFrame, outputs: Sequence[npt.NDArray[np.floating]]
    ) -> pd.DataFrame:
        """Returns features with the columns after them.

        Args:
            features: Of the rows.
            outputs: See `scores`.
        """
        values = self.values(outputs)
        added = pd.DataFrame(values, columns=self.names(values.shape[1]), index=features.index)
        return pd.concat([features, added], axis=1)

    def names(self, count: int) -> list[str]:
        """Returns the names of so many columns."""
        if len(self.directions):
            return [f"stacked.direction.{index}" for index in range(count)]
        each = count // len(self.numbers)
        return [f"stacked.{number}.{index}" for number in self.numbers for index in range(each)]


def _scores(outputs: npt.NDArray[np.floating], mean: Mean) -> Floats:
    values = np.asarray(outputs, np.float64)
    if mean is Mean.PLAIN:
        return values
    scores = scores_of(values, mean)
    if mean is Mean.ODDS:
        return np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE)
    if values.shape[1] == 2:
        scores = scores[:, 1:] - scores[:, :1]
    else:
        scores = scores - scores.mean(axis=1, keepdims=True)
    return np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE)
