"""Estimators made of others that are fitted: means over folds, then over groups of folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from common.models.estimators.combining import Calibration, Floats, Mean, combined, tilted

_FIT = "is made of estimators that are fitted: make another with `of`"


@dataclass(frozen=True)
class BlendGroup:
    """Estimators that are equal but for the rows they learned; their outputs are averaged.

    Attributes:
        estimators_: Over the features; of classes fitted on positions, 0 to the number less 1.
        weight: Of the group.
    """

    # Named as in scikit-learn, so that `frames.columns_of` finds what the encoders know.
    estimators_: list[Any]
    weight: float


class _Blended(BaseEstimator):
    """What blends of classifiers and of regressors share.

    Attributes:
        estimators_: Groups over the features.
        mean_: How the groups are averaged, see `Mean`.
        feature_names_in_: Names of the features, in order.
        n_features_in_: Their number.
    """

    estimators_: list[BlendGroup]
    mean_: str
    feature_names_in_: npt.NDArray[np.object_]
    n_features_in_: int

    def fit(self, features: Any, truth: Any) -> Any:
        """Raises TypeError: it is fitted from the start."""
        raise TypeError(f"{type(self).__name__} {_FIT}.")

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `of` made it."""
        return hasattr(self, "estimators_")

    def _hold(self, groups: Sequence[BlendGroup], mean: Mean, names: Sequence[str]) -> None:
        self.estimators_ = list(groups)
        self.mean_ = mean.value
        self.feature_names_in_ = np.array(names, dtype=object)
        self.n_features_in_ = len(names)

    def _combined(self, features: Any, width: int) -> Floats:
        """Returns the mean of the groups, (rows, width)."""
        table = self._table(features)
        groups = [each for each in self.estimators_ if each.weight]
        outputs = [group_outputs(each, table, width) for each in groups]
        return combined(outputs, [each.weight for each in groups], Mean(self.mean_))

    def _table(self, features: Any) -> pd.DataFrame:
        """Returns features in the order and of the types that the estimators were fitted on."""
        names = self.feature_names_in_.tolist()
        if not isinstance(features, pd.DataFrame):
            return pd.DataFrame(features, columns=names)
        if list(features.columns) != names:
            _require(names, features)
            features = features[names]
        kinds = features.dtypes.to_numpy()
        truths = [name for name, kind in zip(names, kinds, strict=True) if kind.kind == "b"]
        return features.astype(dict.fromkeys(truths, np.float64)) if truths else features


class BlendedClassifier(ClassifierMixin, _Blended):
    """Weighted mean of classifiers, of one class of several or of many labels.

    Attributes:
        classes_: Labels of the classes, or names of the labels where a row has any number.
        is_multilabel_: Whether a row has any number of labels: then `predict` gives 0 or 1 of each,
            (rows, labels).
        calibration_: See `Calibration`; None for none.
        tilts_: See `tilted`: decisions are taken after it; None for none.
    """

    classes_: npt.NDArray[np.generic]
    is_multilabel_: bool
    calibration_: Calibration | None
    tilts_: Floats | None

    @classmethod
    def of(
        cls,
        groups: Sequence[BlendGroup],
        names: Sequence[str],
        classes: Sequence[object] | npt.NDArray[np.generic],
        *,
        mean: Mean = Mean.PLAIN,
        is_multilabel: bool = False,
        calibration: Calibration | None = None,
        tilts: Floats | None = None,
    ) -> "BlendedClassifier":
        """Returns a classifier of groups that are fitted.

        Args:
            groups: See `estimators_`.
            names: Of the features, in order.
            classes: See `classes_`.
            mean: See `Mean`.
            is_multilabel: See `is_multilabel_`.
            calibration: See `calibration_`.
            tilts: See `tilts_`.
        """
        made = cls()
        made._hold(groups, mean, names)
        made.classes_ = np.asarray(classes)
        made.is_multilabel_ = is_multilabel
        made.calibration_ = calibration
        made.tilts_ = tilts
        return made

    def predict_proba(self, features: Any) -> Floats:
        """Returns probabilities, (rows, classes or labels).

        Args:
            features: A data frame with columns of `feature_names_in_`.

        Raises:
            ValueError: A column is missing; says which.
        """
        found = self._combined(features, len(self.classes_))
        return found if self.calibration_ is None else self.calibration_.apply(found)

    def predict(self, features: Any) -> npt.NDArray[np.generic]:
        """Returns labels, (rows,), or 0 or 1 of each of many labels, (rows, labels)."""
        found = self.predict_proba(features)
        if self.tilts_ is not None:
            found = tilted(found, self.tilts_, not self.is_multilabel_)
        if self.is_multilabel_:
            return (found >= 0.5).astype(np.int64)
        return np.asarray(self.classes_[found.argmax(axis=1)])

    def __sklearn_tags__(self) -> Any:
        """Returns what scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = getattr(self, "is_multilabel_", False)
        tags.input_tags.allow_nan = True
        return tags


class BlendedRegressor(RegressorMixin, _Blended):
    """Weighted mean or median of regressors.

    Attributes:
        calibration_: See `Calibration`; None for none.
    """

    # Files of before have none.
    calibration_: Calibration | None = None

    @classmethod
    def of(
        cls,
        groups: Sequence[BlendGroup],
        names: Sequence[str],
        *,
        mean: Mean = Mean.PLAIN,
        calibration: Calibration | None = None,
    ) -> "BlendedRegressor":
        """Returns a regressor of groups that are fitted; see `BlendedClassifier.of`."""
        made = cls()
        made._hold(groups, mean, names)
        made.calibration_ = calibration
        return made

    def predict(self, features: Any) -> Floats:
        """Returns values, (rows,).

        Args:
            features: A data frame with columns of `feature_names_in_`.

        Raises:
            ValueError: A column is missing; says which.
        """
        found = self._combined(features, 1)
        if self.calibration_ is not None:
            found = self.calibration_.apply(found)
        return found[:, 0]

    def __sklearn_tags__(self) -> Any:
        """Returns what scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def group_outputs(group: BlendGroup, features: pd.DataFrame, width: int) -> Floats:
    """Returns the mean of the outputs of a group's estimators, (rows, width).

    Args:
        group: The estimators.
        features: As they take them.
        width: Number of classes or labels; 1 of a regression.
    """
    total = np.zeros((len(features), width))
    for estimator in group.estimators_:
        total += _outputs(estimator, features, width)
    return total / len(group.estimators_)


def _outputs(estimator: Any, features: pd.DataFrame, width: int) -> Floats:
    """Returns the outputs of an estimator, (rows, width), 0 for classes it has not seen."""
    if not hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict(features), np.float64).reshape(len(features), width)
    found = estimator.predict_proba(features)
    if isinstance(found, list):  # of many labels, each with its own classes
        known = zip(found, estimator.classes_, strict=True)
        return np.column_stack([_placed(each, labels, 2)[:, 1] for each, labels in known])
    found = np.asarray(found, np.float64)
    return found if found.shape[1] == width else _placed(found, estimator.classes_, width)


def _placed(found: Floats, known: npt.NDArray[np.generic], width: int) -> Floats:
    placed = np.zeros((len(found), width))
    placed[:, np.asarray(known, np.int64)] = found
    return placed


def _require(names: Sequence[str], features: pd.DataFrame) -> None:
    missing = [name for name in names if name not in features.columns]
    if missing:
        raise ValueError(f"The column `{missing[0]}`, which the model takes, is missing.")
