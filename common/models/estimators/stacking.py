"""Models that learn from what others say of the same rows. Imports pandas and scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from common.models.estimators.blending import BlendGroup, group_outputs
from common.models.estimators.combining import Floats, Mean, scores_of

_LARGEST_SCORE = 8.0


def stacked_frame(
    features: pd.DataFrame, outputs: Sequence[npt.NDArray[np.floating]], mean: Mean
) -> pd.DataFrame:
    """Returns features with the scores of base models as columns after them.

    Of two classes there is one score, for the other is its negative.

    Args:
        features: Of the rows.
        outputs: Of each base model, (rows, outputs).
        mean: How outputs become scores: `PLAIN` of a regression, `LOGITS` of classes, `ODDS` of
            labels.
    """
    columns = {
        f"__base_{number}_{position}": column
        for number, each in enumerate(outputs)
        for position, column in enumerate(_scores(np.asarray(each, np.float64), mean).T)
    }
    return pd.concat([features, pd.DataFrame(columns, features.index)], axis=1)


class _Stacked(BaseEstimator):
    """What stacked classifiers and regressors share.

    Attributes:
        estimators_: The base models, each fitted on several parts of the rows.
        final_: What learned from features and their scores.
        width_: Number of outputs of each.
        mean_: See `stacked_frame`.
    """

    # Named as in scikit-learn, so that `frames.columns_of` finds what the encoders know.
    estimators_: list[BlendGroup]
    final_: Any
    width_: int
    mean_: str

    def fit(self, features: Any, truth: Any) -> Any:
        """Raises TypeError: it is fitted from the start."""
        raise TypeError(f"{type(self).__name__} is made of fitted estimators: make one with `of`.")

    @classmethod
    def of(cls, bases: Sequence[BlendGroup], final: Any, width: int, mean: Mean) -> Any:
        """Returns a model of ones that are fitted; see the attributes."""
        made = cls()
        made.estimators_ = list(bases)
        made.final_ = final
        made.width_ = width
        made.mean_ = mean.value
        return made

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `of` made it."""
        return hasattr(self, "estimators_")

    def _frame(self, features: pd.DataFrame) -> pd.DataFrame:
        outputs = [group_outputs(each, features, self.width_) for each in self.estimators_]
        return stacked_frame(features, outputs, Mean(self.mean_))


class StackedClassifier(ClassifierMixin, _Stacked):
    """Predicts one class of several, or many labels, as its final model does."""

    @property
    def classes_(self) -> Any:
        """Those of the final model."""
        return self.final_.classes_

    def predict_proba(self, features: pd.DataFrame) -> Any:
        """Returns probabilities as the final model does."""
        return self.final_.predict_proba(self._frame(features))

    def predict(self, features: pd.DataFrame) -> Any:
        """Returns decisions as the final model does."""
        return self.final_.predict(self._frame(features))


class StackedRegressor(RegressorMixin, _Stacked):
    """Predicts values as its final model does."""

    def predict(self, features: pd.DataFrame) -> Any:
        """Returns values, (rows,)."""
        return self.final_.predict(self._frame(features))


def _scores(outputs: Floats, mean: Mean) -> Floats:
    if mean is Mean.PLAIN:
        return outputs
    scores = scores_of(outputs, mean)
    if mean is Mean.LOGITS and outputs.shape[1] == 2:
        scores = scores[:, 1:] - scores[:, :1]
    elif mean is Mean.LOGITS:
        scores = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE))
