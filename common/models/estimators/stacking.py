"""Outputs of models as columns for other models. Imports pandas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from common.models.estimators.combining import Floats, Mean, scores_of

_LARGEST_SCORE = 8.0

AnyFloats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class StackedColumns:
    """Makes columns of the outputs of base models.

    Attributes:
        numbers: Of the base models, in order; the columns are named after them.
        mean: How outputs become scores: `plain` of a regression, else see `Mean`.
        centre: Means of the scores of one model, (scores,); empty where none are projected.
        directions: Directions that these are projected on, (columns, scores); empty alike.
    """

    numbers: tuple[int, ...]
    mean: str
    centre: Floats
    directions: Floats

    def values(self, outputs: AnyFloats) -> Floats:
        """Returns the columns of one base model, (rows, columns).

        Of two classes there is one score, for the other is its negative.

        Args:
            outputs: Of the model, (rows, outputs).
        """
        scores = _scores(np.asarray(outputs, np.float64), Mean(self.mean))
        if not len(self.directions):
            return scores
        return np.asarray((scores - self.centre) @ self.directions.T)

    def added(self, features: pd.DataFrame, outputs: Sequence[AnyFloats]) -> pd.DataFrame:
        """Returns features with the columns after them.

        Args:
            features: Of the rows.
            outputs: Of the base models, in the order of `numbers`, each (rows, outputs).
        """
        columns = [self.values(each) for each in outputs]
        frames = [
            pd.DataFrame(each, features.index, stacked_names(number, each.shape[1]))
            for number, each in zip(self.numbers, columns, strict=True)
        ]
        return pd.concat([features, *frames], axis=1)


def stacked_names(number: int, count: int) -> list[str]:
    """Returns the names of the columns that a base model gives."""
    return [f"__candidate_{number}_{position}" for position in range(count)]


def _scores(outputs: Floats, mean: Mean) -> Floats:
    if mean is Mean.PLAIN:
        return outputs
    scores = scores_of(outputs, mean)
    if mean is Mean.LOGITS and outputs.shape[1] == 2:
        scores = scores[:, 1:] - scores[:, :1]
    elif mean is Mean.LOGITS:
        scores = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE))
